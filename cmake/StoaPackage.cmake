# build/lib: what PYTHONPATH would need, with links instead of copies, so that an edited Python file counts at once;
# build/venv: a virtual environment that sees it, made by hand because it takes three files;
# build/python: runs that, from whatever working directory. Children started by sys.executable see Stoa, too.

# another Python than last time: nothing of it may be left
if(NOT STOA_PACKAGE_PYTHON STREQUAL STOA_PY_BASE_EXECUTABLE)
    file(REMOVE_RECURSE "${STOA_PACKAGE_PARENT}" "${PROJECT_BINARY_DIR}/venv")
    set(STOA_PACKAGE_PYTHON "${STOA_PY_BASE_EXECUTABLE}" CACHE INTERNAL "the Python that build/lib and build/venv are for")
endif()
file(MAKE_DIRECTORY "${STOA_PACKAGE}")

function(stoa_link_tree from to)
    file(GLOB_RECURSE files RELATIVE "${from}" CONFIGURE_DEPENDS "${from}/*.py" "${from}/*.pyi" "${from}/py.typed"
         "${from}/*.html" "${from}/*.css" "${from}/*.js" "${from}/*.json" "${from}/*.txt")
    foreach(file IN LISTS files)
        get_filename_component(folder "${to}/${file}" DIRECTORY)
        file(MAKE_DIRECTORY "${folder}")
        file(CREATE_LINK "${from}/${file}" "${to}/${file}" SYMBOLIC)
    endforeach()
    # a file that was removed or renamed leaves a dangling link
    file(GLOB_RECURSE links "${to}/*.py" "${to}/*.pyi")
    foreach(link IN LISTS links)
        if(NOT EXISTS "${link}")
            file(REMOVE "${link}")
        endif()
    endforeach()
endfunction()

stoa_link_tree("${PROJECT_SOURCE_DIR}/python/stoa" "${STOA_PACKAGE}")
if(STOA_TESTS)
    stoa_link_tree("${PROJECT_SOURCE_DIR}/tests/stoa_tests" "${STOA_PACKAGE_PARENT}/stoa_tests")
endif()

set(STOA_VENV "${PROJECT_BINARY_DIR}/venv")
get_filename_component(STOA_PY_HOME "${STOA_PY_BASE_EXECUTABLE}" DIRECTORY)
file(MAKE_DIRECTORY "${STOA_VENV}/bin" "${STOA_VENV}/lib/python${STOA_PY_MINOR}/site-packages")
file(WRITE "${STOA_VENV}/pyvenv.cfg"
     "home = ${STOA_PY_HOME}\ninclude-system-site-packages = true\nversion = ${STOA_PY_VERSION}\n")
file(CREATE_LINK "${STOA_PY_BASE_EXECUTABLE}" "${STOA_VENV}/bin/python" SYMBOLIC)
file(WRITE "${STOA_VENV}/lib/python${STOA_PY_MINOR}/site-packages/stoa-build.pth" "${STOA_PACKAGE_PARENT}\n")

# A sanitizer's runtime has to be loaded before everything else, and the executable is not ours.
set(STOA_PRELOAD)
if(STOA_SANITIZE)
    set(runtimes)
    if(STOA_SANITIZE MATCHES address)
        list(APPEND runtimes libasan.so)
    endif()
    if(STOA_SANITIZE MATCHES thread)
        list(APPEND runtimes libtsan.so)
    endif()
    foreach(runtime IN LISTS runtimes)
        execute_process(COMMAND "${CMAKE_C_COMPILER}" -print-file-name=${runtime} OUTPUT_VARIABLE path
                        OUTPUT_STRIP_TRAILING_WHITESPACE)
        list(APPEND STOA_PRELOAD "${path}")
    endforeach()
    string(REPLACE ";" ":" STOA_PRELOAD "${STOA_PRELOAD}")
endif()
configure_file("${CMAKE_CURRENT_LIST_DIR}/python.sh.in" "${PROJECT_BINARY_DIR}/python" @ONLY
               FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
