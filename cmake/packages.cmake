# SPDX-License-Identifier: BSD-3-Clause
# CPack: three Debian packages, one for each component of cmake/install.cmake.
# `cmake --preset package && cmake --build --preset package --target package`; see docs/packaging.md.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME busbar)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_COMPONENTS_ALL runtime dev programs)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENT_DEV_DEPENDS runtime)
set(CPACK_COMPONENT_PROGRAMS_DEPENDS runtime)

# ---- what all three have ---------------------------------------------------------------------------
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "busbar maintainers <maintainers@busbar.invalid>")
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# A package needs the very build of the library that was made with it.
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)

# The first lines of each package are the same.
string(JOIN "\n" about
    "busbar carries messages between the processes of one many-core box."
    "A message is written once into shared memory and read where it lies."
    "There is no daemon; nobody's death or sleep harms another, and what a"
    "slow reader lost is known exactly."
    "")

# bb_package(<component> <name> <section> SUMMARY <line> TEXT <line>...)
macro(bb_package component name section)
    cmake_parse_arguments(package "" "SUMMARY" "TEXT" ${ARGN})
    string(TOUPPER "${component}" upper)
    string(JOIN "\n" package_text "${about}" ${package_TEXT})
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME "${name}")
    set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION "${section}")
    set(CPACK_COMPONENT_${upper}_DESCRIPTION "${package_SUMMARY}\n${package_text}")
endmacro()

bb_package(runtime libbusbar0 libs
    SUMMARY "message bus in shared memory - library"
    TEXT "This package holds the library that programs load.")
bb_package(dev libbusbar-dev libdevel
    SUMMARY "message bus in shared memory - development files"
    TEXT "This package holds what is needed to build programs: headers, the static"
         "library, busbar.pc for pkg-config, and the CMake package busbar.")
bb_package(programs busbar net
    SUMMARY "message bus in shared memory - programs"
    TEXT "This package holds busbar, which publishes, subscribes and looks at buses"
         "from the command line, busbard, which links buses of several boxes, and"
         "busbar-sensor, a network sensor that uses it.")
# `busbar pki` runs it.
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_RECOMMENDS openssl)

# For the library CPack would write maintainer scripts that call ldconfig, where Debian wants a trigger; it
# does so as soon as it looks at a library for any reason.  So the script below does what there is to do:
# it writes these files, and sets the dependencies.
set(made "${PROJECT_BINARY_DIR}/debian")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA "${made}/shlibs;${made}/symbols;${made}/triggers")

# ---- what Debian wants beyond an installed tree ----------------------------------------------------
configure_file(cmake/debian/libbusbar0.symbols.in "${made}/libbusbar0.symbols" @ONLY)
configure_file(cmake/debian/finish.cmake.in "${made}/finish.cmake" @ONLY)
configure_file(cmake/debian/repack.cmake.in "${made}/repack.cmake" @ONLY)
set(CPACK_PRE_BUILD_SCRIPTS "${made}/finish.cmake")
set(CPACK_POST_BUILD_SCRIPTS "${made}/repack.cmake")

include(CPack)
