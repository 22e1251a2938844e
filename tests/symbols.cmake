# What libstoa gives and takes. It exports public names only (`stoa_noun_verb`), leaves none of its own undefined (a shared
# library may, so the linker says nothing), and does not name libpython: the process it is loaded into has one. Run by ctest
# with NM, READELF and LIBRARY.
cmake_minimum_required(VERSION 3.20)
set(bad 0)

execute_process(COMMAND "${NM}" -D --defined-only --format=posix "${LIBRARY}" OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${text}")
list(LENGTH lines exported)
foreach(line IN LISTS lines)
    if(NOT line MATCHES "^stoa_[a-z0-9]")
        message("exported, but not public: ${line}")
        set(bad 1)
    endif()
endforeach()

execute_process(COMMAND "${NM}" -D --undefined-only --format=posix "${LIBRARY}" OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[^\n]+" lines "${text}")
foreach(line IN LISTS lines)
    if(line MATCHES "^_*stoa")
        message("used, but defined nowhere: ${line}")
        set(bad 1)
    endif()
endforeach()

execute_process(COMMAND "${READELF}" -d "${LIBRARY}" OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
if(text MATCHES "NEEDED[^\n]*libpython")
    message("libstoa must not be linked to libpython")
    set(bad 1)
endif()
if(text MATCHES "STATIC_TLS")
    message("libstoa uses initial-exec TLS, which a library that is loaded by import cannot have")
    set(bad 1)
endif()

if(bad)
    message(FATAL_ERROR "${LIBRARY}")
endif()
message("${exported} public names")
