include("${CMAKE_CURRENT_LIST_DIR}/lts-targets.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/lts-runner-targets.cmake" OPTIONAL)
