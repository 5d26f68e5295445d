# SPDX-License-Identifier: BSD-3-Clause
# What `cmake --install` puts where.  Components are the Debian packages (cmake/packages.cmake), and
# `license`, which Debian has in a form of its own.  Nothing installed holds the prefix: trees can be moved.
#
#   runtime   the shared library that programs load
#   dev       what programs are built with: headers, static library, busbar.pc, CMake package, man3
#   programs  busbar, busbard and busbar-sensor, their man pages and completion, the documents

include(CMakePackageConfigHelpers)
set(bb_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/busbar")

# ---- the libraries ---------------------------------------------------------------------------------
install(TARGETS busbar EXPORT busbarTargets
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS busbar_static EXPORT busbarTargets
        ARCHIVE COMPONENT dev
        INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(DIRECTORY lib/include/busbar DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT dev
        FILES_MATCHING PATTERN "*.h")
install(FILES shm/status.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/busbar" COMPONENT dev)

# ---- for those who build programs ------------------------------------------------------------------
# Before 1.0 a minor version may change what a major one may later.
install(EXPORT busbarTargets NAMESPACE busbar:: DESTINATION "${bb_cmake_dir}" COMPONENT dev)
configure_package_config_file(
    cmake/busbarConfig.cmake.in "${PROJECT_BINARY_DIR}/cmake/busbarConfig.cmake"
    INSTALL_DESTINATION "${bb_cmake_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cmake/busbarConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cmake/busbarConfig.cmake" "${PROJECT_BINARY_DIR}/cmake/busbarConfigVersion.cmake"
        DESTINATION "${bb_cmake_dir}" COMPONENT dev)

# busbar.pc finds its prefix from where it lies itself.
file(RELATIVE_PATH bb_pc_to_prefix "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" bb_pc_to_prefix "${bb_pc_to_prefix}")
file(RELATIVE_PATH bb_pc_libdir "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_LIBDIR}")
file(RELATIVE_PATH bb_pc_includedir "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
configure_file(cmake/busbar.pc.in "${PROJECT_BINARY_DIR}/cmake/busbar.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/cmake/busbar.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT dev)

# ---- programs --------------------------------------------------------------------------------------
foreach(program busbar_cli busbard busbar_sensor)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME COMPONENT programs)
    endif()
endforeach()

# Where systemd looks; it has no multiarch folders.
if(TARGET busbard)
    configure_file(tools/daemon/systemd/busbard@.service.in "${PROJECT_BINARY_DIR}/busbard@.service" @ONLY)
    install(FILES "${PROJECT_BINARY_DIR}/busbard@.service" DESTINATION lib/systemd/system COMPONENT programs)
endif()

# tools/completion/NAME.bash completes NAME.
file(GLOB found CONFIGURE_DEPENDS tools/completion/*.bash)
foreach(file ${found})
    get_filename_component(name "${file}" NAME_WE)
    install(FILES "${file}" DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME "${name}"
            COMPONENT programs)
endforeach()

# ---- pages -----------------------------------------------------------------------------------------
file(GLOB found CONFIGURE_DEPENDS docs/man/*.[1-8])
foreach(page ${found})
    string(REGEX REPLACE ".*\\." "" section "${page}")
    if(section EQUAL 3)
        set(component dev)
    else()
        set(component programs)
    endif()
    install(FILES "${page}" DESTINATION "${CMAKE_INSTALL_MANDIR}/man${section}" COMPONENT ${component})
endforeach()

# Beside README.md as in the sources, so that links between them hold.
file(GLOB found CONFIGURE_DEPENDS docs/*.md)
install(FILES README.md DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT programs)
install(FILES ${found} DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs" COMPONENT programs)
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT license)
if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/examples")
    install(DIRECTORY examples DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT dev
            FILES_MATCHING PATTERN "*.c" PATTERN "*.h" PATTERN "*.cc" PATTERN "*.md")
endif()
