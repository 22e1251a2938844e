# Finds out everything about the one Python that this build is for, by asking that Python.
#
# in:  STOA_PYTHON (cache), else Python_EXECUTABLE (scikit-build-core sets it), else python3 on the path
# out: STOA_PY_* (see python-facts.py), targets stoa_python (headers only) and stoa_python_embed (with libpython)

set(STOA_PYTHON "" CACHE FILEPATH "the Python to build for")
if(NOT STOA_PYTHON)
    if(Python_EXECUTABLE)
        set(STOA_PYTHON "${Python_EXECUTABLE}")
    elseif(DEFINED ENV{PYTHON})
        set(STOA_PYTHON "$ENV{PYTHON}")
    elseif(DEFINED ENV{STOA_PYTHON})
        set(STOA_PYTHON "$ENV{STOA_PYTHON}")
    else()
        find_program(STOA_FOUND_PYTHON NAMES python3.15 python3.14 python3.13 python3.12 python3 REQUIRED)
        set(STOA_PYTHON "${STOA_FOUND_PYTHON}")
    endif()
endif()

execute_process(
    COMMAND "${STOA_PYTHON}" -I "${CMAKE_CURRENT_LIST_DIR}/python-facts.py"
    OUTPUT_FILE "${CMAKE_BINARY_DIR}/python-facts.cmake" RESULT_VARIABLE STOA_RESULT)
if(NOT STOA_RESULT EQUAL 0)
    message(FATAL_ERROR "${STOA_PYTHON} does not run; say -DSTOA_PYTHON=/path/to/python")
endif()
include("${CMAKE_BINARY_DIR}/python-facts.cmake")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/python-facts.py")

if(NOT STOA_PY_IMPLEMENTATION STREQUAL "cpython" OR STOA_PY_MINOR VERSION_LESS 3.12 OR STOA_PY_FREE_THREADED)
    message(FATAL_ERROR "${STOA_PYTHON} is ${STOA_PY_IMPLEMENTATION} ${STOA_PY_VERSION}"
                        " (abi flags '${STOA_PY_ABIFLAGS}'); Stoa needs CPython 3.12 or newer, default build")
endif()
if(NOT STOA_PY_HAS_HEADERS)
    message(FATAL_ERROR "${STOA_PYTHON} has no headers (${STOA_PY_INCLUDE}/Python.h); install python${STOA_PY_MINOR}-dev"
                        " or choose another with -DSTOA_PYTHON=")
endif()
message(STATUS "Python: ${STOA_PY_VERSION}${STOA_PY_ABIFLAGS} (${STOA_PY_EXECUTABLE})")

add_library(stoa_python INTERFACE)
# -isystem: warnings in CPython's headers are not ours
target_include_directories(stoa_python SYSTEM INTERFACE "${STOA_PY_INCLUDE}" "${STOA_PY_PLATINCLUDE}")
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # Debian's headers of a debug build are links to the release build's, beside a pyconfig.h of their own; gcc follows the
    # link and would take the release build's pyconfig.h
    target_compile_options(stoa_python INTERFACE -fno-canonical-system-headers)
endif()

add_library(stoa_python_embed INTERFACE)
target_link_libraries(stoa_python_embed INTERFACE stoa_python)
set(STOA_CAN_EMBED OFF)
if(STOA_PY_LIBRARY)
    set(STOA_CAN_EMBED ON)
    target_link_libraries(stoa_python_embed INTERFACE "${STOA_PY_LIBRARY}" ${CMAKE_DL_LIBS} m)
    if(STOA_PY_LIBRARY_IS_SHARED)
        target_link_options(stoa_python_embed INTERFACE "LINKER:-rpath,${STOA_PY_LIBRARY_DIR}")
    else()
        target_link_libraries(stoa_python_embed INTERFACE ${STOA_PY_LIBS} util)
        target_link_options(stoa_python_embed INTERFACE -rdynamic)
    endif()
else()
    message(STATUS "this Python has no libpython: C tests and examples that embed are left out")
endif()
