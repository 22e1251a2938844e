# `make install PREFIX=…`: headers, libstoa, stoa.pc, stoaConfig.cmake and the Python package.
# `pip install .` (scikit-build-core sets SKBUILD): only the package, with libstoa inside it.
include(CMakePackageConfigHelpers)
if(NOT TARGET libstoa)
    return()
endif()

if(SKBUILD)
    set(package_dir stoa)
    set(library_dir stoa)
    set(module_rpath "$ORIGIN")
else()
    # where the Python looks, if that is below the prefix; else the usual place below the prefix
    file(RELATIVE_PATH below "${CMAKE_INSTALL_PREFIX}" "${STOA_PY_PLATLIB}")
    if(below MATCHES "^\\.\\." OR IS_ABSOLUTE "${below}")
        set(below "lib/python${STOA_PY_MINOR}/site-packages")
    endif()
    set(package_dir "${below}/stoa")
    set(library_dir "${CMAKE_INSTALL_LIBDIR}")
    file(RELATIVE_PATH up "/x/${package_dir}" "/x/${library_dir}")
    set(module_rpath "$ORIGIN/${up}")
    file(RELATIVE_PATH beside "/x/${library_dir}" "/x/${below}") # where a host's library finds the package
    set_property(SOURCE src/host/own_package.c APPEND PROPERTY COMPILE_DEFINITIONS "STOA_PACKAGE_BESIDE=\"${beside}\"")
endif()

install(TARGETS libstoa EXPORT stoaTargets LIBRARY DESTINATION "${library_dir}" COMPONENT stoa)
if(TARGET _stoa)
    set_target_properties(_stoa PROPERTIES INSTALL_RPATH "${module_rpath}")
    install(TARGETS _stoa LIBRARY DESTINATION "${package_dir}" COMPONENT stoa)
endif()
if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/python/stoa" AND NOT SKBUILD) # scikit-build-core takes those files itself
    install(DIRECTORY python/stoa/ DESTINATION "${package_dir}" COMPONENT stoa PATTERN __pycache__ EXCLUDE)
endif()

if(NOT SKBUILD)
    install(DIRECTORY include/ "${PROJECT_BINARY_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT stoa)
    configure_file(cmake/stoa.pc.in stoa.pc @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/stoa.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT stoa)
    set(config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/stoa")
    configure_package_config_file(cmake/stoaConfig.cmake.in stoaConfig.cmake INSTALL_DESTINATION "${config_dir}")
    write_basic_package_version_file(stoaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
    install(FILES "${PROJECT_BINARY_DIR}/stoaConfig.cmake" "${PROJECT_BINARY_DIR}/stoaConfigVersion.cmake"
            DESTINATION "${config_dir}" COMPONENT stoa)
    if(NOT STOA_PY_PLATLIB STREQUAL "${CMAKE_INSTALL_PREFIX}/${below}")
        install(CODE "message(\"The Python package is in \${CMAKE_INSTALL_PREFIX}/${below}, where this Python does not\"
                              \" look by itself: set PYTHONPATH\")" COMPONENT stoa)
    endif()
    install(EXPORT stoaTargets NAMESPACE stoa:: DESTINATION "${config_dir}" COMPONENT stoa)
endif()
