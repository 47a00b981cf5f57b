# The development files. A wheel installs only the component "python".
include(CMakePackageConfigHelpers)
set(LTS_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/lts)
install(TARGETS lts lts_c lts_c_static EXPORT lts-targets COMPONENT development
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY cpp/include/lts DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT lts-targets NAMESPACE lts:: DESTINATION ${LTS_CMAKE_DIR} COMPONENT development)
write_basic_package_version_file(lts-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/lts-config.cmake ${PROJECT_BINARY_DIR}/lts-config-version.cmake DESTINATION ${LTS_CMAKE_DIR}
        COMPONENT development)
install(FILES LICENSE third_party/nlohmann/LICENSE.MIT DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/lts
        COMPONENT development)

# lts::runner, for programs that run compiled models: a component of its own, which is there where TVM's headers are.
if(TARGET lts_runner)
  install(TARGETS lts_runner lts_runner_parts EXPORT lts-runner-targets COMPONENT runner EXCLUDE_FROM_ALL
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT lts-runner-targets NAMESPACE lts:: DESTINATION ${LTS_CMAKE_DIR} COMPONENT runner EXCLUDE_FROM_ALL)
endif()

# For pkg-config: lts is the shared library, lts-cpp the static one. Relative, so that what is installed can be moved,
# unless folders are given that are not below the prefix.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR} OR IS_ABSOLUTE ${CMAKE_INSTALL_INCLUDEDIR})
  set(LTS_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
  set(LTS_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
  file(RELATIVE_PATH LTS_PC_INCLUDEDIR /${CMAKE_INSTALL_LIBDIR}/pkgconfig /${CMAKE_INSTALL_INCLUDEDIR})
  set(LTS_PC_INCLUDEDIR "\${pcfiledir}/${LTS_PC_INCLUDEDIR}")
  set(LTS_PC_LIBDIR "\${pcfiledir}/..")
endif()
foreach(name lts lts-cpp)
  configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()
