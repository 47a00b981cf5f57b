# The development files. A wheel installs only the component "python".
include(CMakePackageConfigHelpers)
set(LTS_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/lts)
install(TARGETS lts lts_c EXPORT lts-targets COMPONENT development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY cpp/include/lts DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT lts-targets NAMESPACE lts:: DESTINATION ${LTS_CMAKE_DIR} COMPONENT development)
write_basic_package_version_file(lts-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/lts-config.cmake ${PROJECT_BINARY_DIR}/lts-config-version.cmake DESTINATION ${LTS_CMAKE_DIR}
        COMPONENT development)
install(FILES LICENSE third_party/nlohmann/LICENSE.MIT DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/lts
        COMPONENT development)

# For pkg-config: lts is the shared library, lts-cpp the static one. Relative, so that what is installed can be moved.
file(RELATIVE_PATH LTS_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
foreach(name lts lts-cpp)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()
