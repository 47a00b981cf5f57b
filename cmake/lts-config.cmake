include("${CMAKE_CURRENT_LIST_DIR}/lts-targets.cmake")
