# The private jemalloc: built once per compiler by tools/jemalloc.sh, outside this build folder. Target: stoa_jemalloc.
if(NOT STOA_JEMALLOC_DIR OR NOT EXISTS "${STOA_JEMALLOC_DIR}/lib/libjemalloc_pic.a")
    message(STATUS "jemalloc: asking tools/jemalloc.sh")
    execute_process(
        COMMAND "${PROJECT_SOURCE_DIR}/tools/jemalloc.sh" "${CMAKE_C_COMPILER}"
        OUTPUT_VARIABLE STOA_OUTPUT RESULT_VARIABLE STOA_RESULT OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT STOA_RESULT EQUAL 0)
        message(FATAL_ERROR "no jemalloc; tools/jemalloc.sh says why above")
    endif()
    string(REGEX REPLACE ".*\n" "" STOA_OUTPUT "${STOA_OUTPUT}")
    set(STOA_JEMALLOC_DIR "${STOA_OUTPUT}" CACHE PATH "where the private jemalloc is" FORCE)
endif()
message(STATUS "jemalloc: ${STOA_JEMALLOC_DIR}")
add_library(stoa_jemalloc INTERFACE)
target_include_directories(stoa_jemalloc SYSTEM INTERFACE "${STOA_JEMALLOC_DIR}/include")
target_link_libraries(stoa_jemalloc INTERFACE "${STOA_JEMALLOC_DIR}/lib/libjemalloc_pic.a" ${CMAKE_DL_LIBS} m)
