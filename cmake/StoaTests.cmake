# Tests, by folder; a new file is a new test. Labels: heap, immortal, proxy, host, capi, api, layering, symbols, python, example, install.
#
#   tests/heap/test_*.c                   cmocka, the heap layer alone, no Python
#   tests/sync/test_*.c                   cmocka, heap and sync, no Python
#   tests/{immortal,proxy,host}/test_*.c  cmocka, all static layers (internal headers) and libpython
#   tests/capi/test_*.c                   cmocka, as an outside host: public headers, libstoa and libpython
#   tests/api/*.c                         more translation units for the check of the public headers
#   tests/fatal/*.c                       programs that are meant to die; tests start them: $STOA_FATAL_DIR/<name>
#   tests/support/*.c                     linked into all of the above (python_*.c only into those with libpython)
#   tests/python/test_*.py                unittest, one process a file
#   tests/stoa_tests/                     the package stoa_tests: batteries and runners, importable from build/python
#   tests/ext/*.c                         extension modules for tests (cmake/StoaTestModules.cmake)
#   tests/install/                        an installed prefix, used by projects outside of this tree
#   examples/*.c, examples/*.py           each is run, and passes when it exits with 0; the rest of x.c is in x/*.c
find_library(STOA_CMOCKA_LIBRARY cmocka)
find_path(STOA_CMOCKA_INCLUDE cmocka.h)
set(STOA_HAVE_CMOCKA OFF)
if(STOA_CMOCKA_LIBRARY AND STOA_CMOCKA_INCLUDE)
    set(STOA_HAVE_CMOCKA ON)
    add_library(stoa_cmocka INTERFACE)
    target_link_libraries(stoa_cmocka INTERFACE "${STOA_CMOCKA_LIBRARY}")
    target_include_directories(stoa_cmocka SYSTEM INTERFACE "${STOA_CMOCKA_INCLUDE}")
    target_compile_options(stoa_cmocka INTERFACE -Wno-deprecated-declarations) # cmocka 2 has new names for old macros
else()
    message(STATUS "cmocka not found: the C tests are left out (libcmocka-dev with apt, cmocka-devel with dnf)")
endif()

set(STOA_TEST_TIMEOUT 120 CACHE STRING "seconds until a test counts as hanging")
set(STOA_TEST_SCALE 1)
if(STOA_SANITIZE OR STOA_PY_DEBUG)
    set(STOA_TEST_SCALE 4)
endif()
math(EXPR STOA_TIMEOUT "${STOA_TEST_TIMEOUT} * ${STOA_TEST_SCALE}")

set(STOA_FATAL_DIR "${PROJECT_BINARY_DIR}/tests/fatal")
set(STOA_TEST_ENVIRONMENT
    "PYTHONPATH=${STOA_PACKAGE_PARENT}"
    "PYTHONFAULTHANDLER=1"
    "STOA_BUILD_PYTHON=${PROJECT_BINARY_DIR}/python"
    "STOA_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
    "STOA_FATAL_DIR=${STOA_FATAL_DIR}"
    "STOA_SANITIZE=${STOA_SANITIZE}"
    # locals stay on the real stack: tests and stack checks look at where they are
    "ASAN_OPTIONS=detect_leaks=0:allow_user_segv_handler=1:detect_stack_use_after_return=0"
    "UBSAN_OPTIONS=print_stacktrace=1"
    # its deadlock detector breaks down when jemalloc takes all its locks for a fork; our lock ranks do that job
    "TSAN_OPTIONS=detect_deadlocks=0")
if(STOA_SANITIZE MATCHES address)
    list(APPEND STOA_TEST_ENVIRONMENT "PYTHONMALLOC=malloc") # CPython's own allocator hides errors from the sanitizer
endif()

function(stoa_test_properties name label)
    set_tests_properties(${name} PROPERTIES LABELS "${label}" TIMEOUT ${STOA_TIMEOUT} SKIP_RETURN_CODE 77
                                            ENVIRONMENT "${STOA_TEST_ENVIRONMENT}")
endfunction()

# ---- helpers for the C tests -----------------------------------------------------------------------------------------
file(GLOB support CONFIGURE_DEPENDS tests/support/*.c)
set(support_python ${support})
list(FILTER support EXCLUDE REGEX "/python_[^/]*$")
list(FILTER support_python INCLUDE REGEX "/python_[^/]*$")
add_library(stoa_test_support INTERFACE)
target_include_directories(stoa_test_support INTERFACE "${PROJECT_SOURCE_DIR}/tests")
if(support AND STOA_HAVE_CMOCKA)
    add_library(stoa_test_support_objects STATIC ${support})
    target_link_libraries(stoa_test_support_objects PUBLIC stoa_flags stoa_cmocka stoa_test_support)
    target_link_libraries(stoa_test_support INTERFACE stoa_test_support_objects)
endif()
add_library(stoa_test_support_python INTERFACE)
target_link_libraries(stoa_test_support_python INTERFACE stoa_test_support)
if(support_python AND STOA_HAVE_CMOCKA)
    add_library(stoa_test_support_python_objects STATIC ${support_python})
    target_link_libraries(stoa_test_support_python_objects PUBLIC stoa_flags stoa_cmocka stoa_python stoa_test_support)
    target_link_libraries(stoa_test_support_python INTERFACE stoa_test_support_python_objects)
endif()

# stoa_c_tests(FOLDER LIBRARY...): one program and one test for each tests/FOLDER/test_*.c
function(stoa_c_tests folder)
    file(GLOB sources CONFIGURE_DEPENDS tests/${folder}/test_*.c)
    foreach(source IN LISTS sources)
        get_filename_component(stem "${source}" NAME_WE)
        set(target ${folder}_${stem})
        add_executable(${target} "${source}")
        set_target_properties(${target} PROPERTIES OUTPUT_NAME ${stem}
                                                   RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/${folder}")
        target_link_libraries(${target} PRIVATE stoa_flags stoa_cmocka ${ARGN})
        target_link_options(${target} PRIVATE ${STOA_LTO_NO_LINK})
        target_include_directories(${target} SYSTEM PRIVATE "${STOA_XXHASH_INCLUDE}")
        string(REGEX REPLACE "^test_" "" short "${stem}")
        add_test(NAME ${folder}.${short} COMMAND ${target})
        stoa_test_properties(${folder}.${short} ${folder})
    endforeach()
endfunction()

if(STOA_HAVE_CMOCKA)
    if(TARGET stoa_heap)
        stoa_c_tests(heap stoa_test_support stoa_heap)
        stoa_c_tests(sync stoa_test_support stoa_sync stoa_heap)
        # a second copy of the heap layer, as another library of the process would bring it
        add_library(heap_copy MODULE tests/heap/heap_copy.c $<TARGET_OBJECTS:stoa_heap_objects>)
        set_target_properties(heap_copy PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests/heap")
        target_link_libraries(heap_copy PRIVATE stoa_flags stoa_cmocka stoa_jemalloc)
        target_include_directories(heap_copy PRIVATE "${PROJECT_SOURCE_DIR}/tests")
        target_link_options(heap_copy PRIVATE ${STOA_LTO_NO_LINK})
        if(TARGET heap_test_process)
            add_dependencies(heap_test_process heap_copy)
        endif()
    endif()
    if(STOA_CAN_EMBED)
        foreach(layer IN ITEMS immortal proxy host)
            if(TARGET stoa_${layer})
                stoa_c_tests(${layer} stoa_test_support_python ${STOA_LAYERS} stoa_python_embed)
            endif()
        endforeach()
        if(TARGET libstoa)
            stoa_c_tests(capi stoa_test_support_python libstoa stoa_python_embed)
        endif()
    endif()
endif()

file(GLOB sources CONFIGURE_DEPENDS tests/fatal/*.c)
foreach(source IN LISTS sources)
    get_filename_component(stem "${source}" NAME_WE)
    if(TARGET libstoa AND (STOA_CAN_EMBED OR stem MATCHES "^heap_"))
        add_executable(fatal_${stem} "${source}")
        set_target_properties(fatal_${stem} PROPERTIES OUTPUT_NAME ${stem} RUNTIME_OUTPUT_DIRECTORY "${STOA_FATAL_DIR}")
        target_link_libraries(fatal_${stem} PRIVATE stoa_flags stoa_test_support)
        target_link_options(fatal_${stem} PRIVATE ${STOA_LTO_NO_LINK})
        if(stem MATCHES "^heap_") # the heap layer alone, no Python
            target_link_libraries(fatal_${stem} PRIVATE stoa_heap)
        else()
            target_link_libraries(fatal_${stem} PRIVATE ${STOA_LAYERS} stoa_python_embed)
        endif()
    endif()
endforeach()

# ---- public headers: each one alone, as C11 and as C++17, and twice --------------------------------------------------
file(GLOB_RECURSE headers RELATIVE "${PROJECT_SOURCE_DIR}/include" CONFIGURE_DEPENDS include/*.h)
include(CheckLanguage)
check_language(CXX)
if(headers AND CMAKE_CXX_COMPILER)
    list(APPEND headers stoa/version.h)
    enable_language(CXX)
    set(units_c)
    set(units_cxx)
    list(REMOVE_DUPLICATES headers)
    foreach(header IN LISTS headers)
        string(MAKE_C_IDENTIFIER "${header}" id)
        set(text "#include \"${header}\"\n#include \"${header}\"\nint stoa_alone_${id};\n")
        foreach(language IN ITEMS c cxx)
            set(unit "${PROJECT_BINARY_DIR}/tests/api/${id}.${language}")
            file(GENERATE OUTPUT "${unit}" CONTENT "${text}")
            list(APPEND units_${language} "${unit}")
        endforeach()
    endforeach()
    file(GLOB more CONFIGURE_DEPENDS tests/api/*.c)
    foreach(language IN ITEMS c cxx)
        add_library(stoa_headers_${language} OBJECT ${units_${language}} ${more})
        target_include_directories(stoa_headers_${language} PRIVATE "${PROJECT_SOURCE_DIR}/include"
                                                                    "${PROJECT_BINARY_DIR}/include")
        target_link_libraries(stoa_headers_${language} PRIVATE stoa_python)
        set_target_properties(stoa_headers_${language} PROPERTIES EXCLUDE_FROM_ALL ON)
        add_test(NAME api.headers_${language} COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target
                                                      stoa_headers_${language})
        stoa_test_properties(api.headers_${language} api)
        set_tests_properties(api.headers_${language} PROPERTIES RESOURCE_LOCK build_tree)
    endforeach()
    target_compile_options(stoa_headers_c PRIVATE -Wall -Wextra -Wundef -Wshadow -Werror -pedantic)
    set_source_files_properties(${units_cxx} ${more} PROPERTIES LANGUAGE CXX)
    set_source_files_properties(${units_c} PROPERTIES LANGUAGE C)
    set_target_properties(stoa_headers_cxx PROPERTIES CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF)
    target_compile_options(stoa_headers_cxx PRIVATE -Wall -Wextra -Wundef -Wshadow -Werror -pedantic)
endif()

# ---- layering --------------------------------------------------------------------------------------------------------
add_test(NAME layering COMMAND "${CMAKE_COMMAND}" -DSTOA_SOURCE_DIR=${PROJECT_SOURCE_DIR} -P
                               "${PROJECT_SOURCE_DIR}/tests/layering.cmake")
stoa_test_properties(layering layering)

# ---- what libstoa gives and takes ------------------------------------------------------------------------------------
if(TARGET libstoa AND CMAKE_NM AND CMAKE_READELF AND NOT APPLE AND NOT STOA_SANITIZE)
    add_test(NAME symbols COMMAND "${CMAKE_COMMAND}" -DNM=${CMAKE_NM} -DREADELF=${CMAKE_READELF}
                                  -DLIBRARY=$<TARGET_FILE:libstoa> -P "${PROJECT_SOURCE_DIR}/tests/symbols.cmake")
    stoa_test_properties(symbols symbols)
endif()

# ---- Python tests ----------------------------------------------------------------------------------------------------
include(StoaTestModules)
if(TARGET _stoa)
    file(GLOB sources CONFIGURE_DEPENDS tests/python/test_*.py)
    foreach(source IN LISTS sources)
        get_filename_component(stem "${source}" NAME_WE)
        string(REGEX REPLACE "^test_" "" short "${stem}")
        math(EXPR dump "${STOA_TIMEOUT} - 10")
        add_test(NAME python.${short} COMMAND "${PROJECT_BINARY_DIR}/python" "${PROJECT_SOURCE_DIR}/tests/python/run.py"
                                              --timeout ${dump} "${source}")
        stoa_test_properties(python.${short} python)
    endforeach()
endif()

# ---- examples --------------------------------------------------------------------------------------------------------
if(TARGET libstoa AND STOA_CAN_EMBED)
    file(GLOB sources CONFIGURE_DEPENDS examples/*.c)
    foreach(source IN LISTS sources)
        get_filename_component(stem "${source}" NAME_WE)
        file(GLOB rest CONFIGURE_DEPENDS examples/${stem}/*.c)
        add_executable(example_${stem} "${source}" ${rest})
        set_target_properties(example_${stem} PROPERTIES OUTPUT_NAME ${stem}
                                                         RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/examples")
        # what an outsider has: the public headers, libstoa, a Python
        # errno after sqrt() is of no interest: without it that is one instruction
        target_compile_options(example_${stem} PRIVATE -Wall -Wextra -fno-math-errno ${STOA_SANITIZER_FLAGS})
        target_link_options(example_${stem} PRIVATE ${STOA_SANITIZER_FLAGS})
        target_link_libraries(example_${stem} PRIVATE libstoa stoa_python_embed Threads::Threads)
        add_test(NAME example.${stem} COMMAND example_${stem})
        stoa_test_properties(example.${stem} example)
    endforeach()
endif()
if(TARGET _stoa)
    file(GLOB sources CONFIGURE_DEPENDS examples/*.py)
    foreach(source IN LISTS sources)
        get_filename_component(stem "${source}" NAME_WE)
        add_test(NAME example.${stem}_py COMMAND "${PROJECT_BINARY_DIR}/python" "${source}")
        stoa_test_properties(example.${stem}_py example)
    endforeach()
endif()

# ---- an installed prefix, and outside projects that use it -----------------------------------------------------------
# (a debug Python has no find_package of its own, and a sanitizer would have to be linked into the outside projects)
if(TARGET _stoa AND STOA_CAN_EMBED AND NOT STOA_PY_DEBUG AND NOT STOA_SANITIZE)
    add_test(NAME install COMMAND "${PROJECT_SOURCE_DIR}/tests/install/outside.sh" "${PROJECT_BINARY_DIR}"
                                  "${STOA_PY_BASE_EXECUTABLE}")
    stoa_test_properties(install install)
    set_tests_properties(install PROPERTIES RESOURCE_LOCK build_tree)
endif()
