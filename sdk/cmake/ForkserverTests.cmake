# Tests of CTest that `forkserver test` runs. find_package(forkserver) brings it.
#
#   forkserver_add_tests(NAME TARGET [OPTIONS word...])
#
# One test of CTest for the whole of a program: every test case in a process of
# its own, forked warm. The fastest way, and the one verdict of CTest has the
# report of each case in its output.
#
#   forkserver_discover_tests(TARGET [OPTIONS word...] [PREFIX text]
#                             [PROPERTIES name value...])
#
# One test of CTest for each test case, as gtest_discover_tests has it: the
# program is asked for its tests each time that it has been built. Each runs
# `forkserver test` for itself, so have a daemon running (forkserver daemon
# start), which keeps the program's zygote between them.
#
# TARGET is a target of add_executable. OPTIONS are those of `forkserver test`.
# FORKSERVER_EXECUTABLE is the command, found by find_program.

find_program(FORKSERVER_EXECUTABLE forkserver
             HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../bin")

function(_forkserver_check target)
  if(NOT FORKSERVER_EXECUTABLE)
    message(FATAL_ERROR "forkserver is not found: install it, or set "
                        "FORKSERVER_EXECUTABLE")
  endif()
  if(NOT TARGET ${target})
    message(FATAL_ERROR "${target} is not a target: name one of add_executable")
  endif()
endfunction()

function(forkserver_add_tests name target)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "OPTIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "forkserver_add_tests: unknown ${arg_UNPARSED_ARGUMENTS}")
  endif()
  _forkserver_check(${target})
  add_test(NAME ${name} COMMAND ${FORKSERVER_EXECUTABLE} test ${arg_OPTIONS}
                                $<TARGET_FILE:${target}>)
endfunction()

function(forkserver_discover_tests target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "PREFIX" "OPTIONS;PROPERTIES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR
            "forkserver_discover_tests: unknown ${arg_UNPARSED_ARGUMENTS}")
  endif()
  _forkserver_check(${target})
  set(tests "${CMAKE_CURRENT_BINARY_DIR}/${target}_forkserver_tests.cmake")
  set(include "${CMAKE_CURRENT_BINARY_DIR}/${target}_forkserver_include.cmake")
  # Until the program has been built, CTest has one test that says so.
  file(WRITE "${include}" "if(EXISTS [==[${tests}]==])
  include([==[${tests}]==])
else()
  add_test([==[${target}_NOT_BUILT]==] [==[${target}_NOT_BUILT]==])
endif()
")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include}")
  # Lists travel as one argument each; blanks at the end of a text do in quotes.
  string(REPLACE ";" "|;|" options "${arg_OPTIONS}")
  string(REPLACE ";" "|;|" properties "${arg_PROPERTIES}")
  add_custom_command(
    TARGET ${target} POST_BUILD
    BYPRODUCTS "${tests}"
    COMMAND
      "${CMAKE_COMMAND}" "-DFORKSERVER=${FORKSERVER_EXECUTABLE}"
      "-DPROGRAM=$<TARGET_FILE:${target}>" "-DTESTS=${tests}"
      "-DPREFIX='${arg_PREFIX}'" "-DOPTIONS=${options}"
      "-DPROPERTIES=${properties}"
      -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/ForkserverAddTests.cmake"
    VERBATIM)
endfunction()
