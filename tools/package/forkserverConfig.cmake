# find_package(forkserver) offers
#   forkserver::client        <forkserver/client.h>
#   forkserver::zygote        <forkserver/zygote.h>
#   forkserver::doctest_main  <forkserver/testing.h>, a main function
#   forkserver::gtest_main    the same; link GoogleTest too (GTest::gtest)
#   forkserver::test_host     <forkserver/doctest_main.h>, <forkserver/gtest_main.h>
#   forkserver_add_tests, forkserver_discover_tests: see ForkserverTests.cmake
get_filename_component(_forkserver_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.."
                       ABSOLUTE)
find_package(Threads QUIET)

foreach(_forkserver_part client zygote doctest_main gtest_main test_host)
  if(NOT TARGET forkserver::${_forkserver_part})
    add_library(forkserver::${_forkserver_part} STATIC IMPORTED)
    set_target_properties(forkserver::${_forkserver_part} PROPERTIES
      IMPORTED_LOCATION
        "${_forkserver_prefix}/lib/libforkserver_${_forkserver_part}.a"
      IMPORTED_LINK_INTERFACE_LANGUAGES CXX
      INTERFACE_COMPILE_FEATURES cxx_std_17
      INTERFACE_INCLUDE_DIRECTORIES "${_forkserver_prefix}/include")
    if(TARGET Threads::Threads)
      set_target_properties(forkserver::${_forkserver_part} PROPERTIES
        INTERFACE_LINK_LIBRARIES Threads::Threads)
    endif()
  endif()
endforeach()

unset(_forkserver_part)
unset(_forkserver_prefix)

if(NOT CMAKE_VERSION VERSION_LESS 3.19)
  include("${CMAKE_CURRENT_LIST_DIR}/ForkserverTests.cmake")
endif()
