# Extension modules that only tests use; they lie beside the package in the build tree and are never installed.
#   _stoa_testing     tests/ext/testing_*.c and the write recorder
#   _stoa_oldheaders  tests/ext/oldheaders.c: an extension whose Py_INCREF writes without asking. With
#                     -DSTOA_OLD_PYTHON_INCLUDE=<folder with the Python.h of CPython 3.8 ... 3.11> its macros are the real ones.
set(STOA_OLD_PYTHON_INCLUDE "" CACHE PATH "headers of a CPython before 3.12, for the test of the write guard")

function(stoa_test_module name)
    add_library(${name} MODULE ${ARGN})
    target_compile_options(${name} PRIVATE -Wall -Wextra ${STOA_SANITIZER_FLAGS})
    target_link_options(${name} PRIVATE ${STOA_SANITIZER_FLAGS})
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    set_target_properties(${name} PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${STOA_PACKAGE_PARENT}")
endfunction()

file(GLOB sources CONFIGURE_DEPENDS tests/ext/testing_*.c)
stoa_test_module(_stoa_testing ${sources} "${PROJECT_SOURCE_DIR}/tests/support/recorder.c")
target_include_directories(_stoa_testing PRIVATE "${PROJECT_SOURCE_DIR}/tests")
target_link_libraries(_stoa_testing PRIVATE stoa_python ${CMAKE_DL_LIBS})
set_target_properties(_stoa_testing PROPERTIES SUFFIX "${STOA_PY_EXT_SUFFIX}")

stoa_test_module(_stoa_oldheaders tests/ext/oldheaders.c)
if(STOA_OLD_PYTHON_INCLUDE)
    target_include_directories(_stoa_oldheaders SYSTEM PRIVATE "${STOA_OLD_PYTHON_INCLUDE}")
    target_compile_definitions(_stoa_oldheaders PRIVATE STOA_OLD_HEADERS)
else()
    target_link_libraries(_stoa_oldheaders PRIVATE stoa_python)
endif()
set_target_properties(_stoa_oldheaders PROPERTIES SUFFIX ".abi3.so")
