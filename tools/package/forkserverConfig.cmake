# find_package(forkserver) offers
#   forkserver::client   <forkserver/client.h>
#   forkserver::zygote   <forkserver/zygote.h>
get_filename_component(_forkserver_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.."
                       ABSOLUTE)
find_package(Threads QUIET)

foreach(_forkserver_part client zygote)
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
