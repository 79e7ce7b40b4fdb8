# Run when a program has been built, by forkserver_discover_tests: asks it for
# its tests and writes a file of add_test commands for CTest.
#
#   cmake -DFORKSERVER=... -DPROGRAM=... -DTESTS=file -DPREFIX='...'
#         -DOPTIONS=a|;|b -DPROPERTIES=... -P ForkserverAddTests.cmake
cmake_minimum_required(VERSION 3.19)

string(REPLACE "|;|" ";" OPTIONS "${OPTIONS}")
string(REPLACE "|;|" ";" PROPERTIES "${PROPERTIES}")

# CTest chooses which tests run: variables of shards must not leave any out.
set(forkserver_test "${FORKSERVER}" test --partition hash:1/1 ${OPTIONS})

execute_process(
  COMMAND ${forkserver_test} --list --json "${PROGRAM}"
  OUTPUT_VARIABLE list
  ERROR_VARIABLE errors
  RESULT_VARIABLE status)
# 4: it has no tests.
if(NOT status EQUAL 0 AND NOT status EQUAL 4)
  message(FATAL_ERROR "forkserver test --list ${PROGRAM}: ${status}\n${errors}")
endif()

# A bracket argument that the text itself cannot close, nor its end together
# with the bracket that follows.
function(quote text result)
  set(equals "=")
  while("${text}]" MATCHES "]${equals}]")
    string(APPEND equals "=")
  endwhile()
  set(${result} "[${equals}[${text}]${equals}]" PARENT_SCOPE)
endfunction()

set(script "")
string(JSON count LENGTH "${list}")
if(count GREATER 0)
  math(EXPR last "${count} - 1")
  foreach(i RANGE ${last})
    string(JSON name GET "${list}" ${i} name)
    string(JSON id GET "${list}" ${i} id)
    string(JSON skip GET "${list}" ${i} skip)
    quote("${PREFIX}${name}" quoted_name)
    # This very test, whatever else its name would match.
    quote("=${id}" filter)
    set(words "")
    foreach(word ${forkserver_test} "${PROGRAM}" --)
      quote("${word}" quoted)
      string(APPEND words " ${quoted}")
    endforeach()
    string(APPEND script "add_test(${quoted_name}${words} ${filter})\n")
    set(properties "")
    foreach(word ${PROPERTIES})
      quote("${word}" quoted)
      string(APPEND properties " ${quoted}")
    endforeach()
    if(NOT skip STREQUAL "")
      string(APPEND properties " DISABLED TRUE")
    endif()
    if(properties)
      string(APPEND script
             "set_tests_properties(${quoted_name} PROPERTIES${properties})\n")
    endif()
  endforeach()
endif()
file(WRITE "${TESTS}" "${script}")
