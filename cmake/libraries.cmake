# lts::lts is the static library, with the C++ and the C interface. lts::c is the shared one, which exports the C
# interface alone: neither C++ types nor exceptions are part of what it promises. Both are made of the same objects.
file(GLOB LTS_SOURCES CONFIGURE_DEPENDS cpp/src/*.cpp cpp/src/algorithms/*.cpp)
set(LTS_ALLOCATOR ${PROJECT_SOURCE_DIR}/cpp/src/c_api_allocator.cpp)
set(LTS_TERMINATE ${PROJECT_SOURCE_DIR}/cpp/src/c_api_terminate.cpp)
list(REMOVE_ITEM LTS_SOURCES ${LTS_ALLOCATOR} ${LTS_TERMINATE})

function(lts_core_options target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cpp/include>
                                              $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_include_directories(${target} SYSTEM PRIVATE ${PROJECT_SOURCE_DIR}/third_party)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF
                                             CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  # Strings, too, are made of our own code, so that all our memory is had and given back by one operator new and delete.
  target_compile_definitions(${target} PRIVATE _GLIBCXX_EXTERN_TEMPLATE=0)
  target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
  lts_compile_options(${target})
endfunction()

include(GNUInstallDirs)
add_library(lts_core OBJECT ${LTS_SOURCES})
# What reads, writes and checks is half of the code and none of the time.
set(LTS_COLD ${LTS_SOURCES})
list(FILTER LTS_COLD INCLUDE REGEX
     "/(json|c_api|error|objective|architecture|family|weights|importance|knapsack|\
search_(space_build|space_options|space_ways|create|state)|surrogate_(fit|problem|quantile)|pooled|\
algorithms/(algorithm_state|table))[a-z_]*\\.cpp$")
set_source_files_properties(${LTS_COLD} PROPERTIES COMPILE_OPTIONS $<$<CONFIG:Release,RelWithDebInfo>:-Os>)
lts_core_options(lts_core)

add_library(lts STATIC $<TARGET_OBJECTS:lts_core> ${LTS_ALLOCATOR})
add_library(lts::lts ALIAS lts)
lts_core_options(lts)
target_compile_features(lts PUBLIC cxx_std_20)
# The same file for programs in C, whose linker does not know what C++ needs.
add_library(lts_c_static INTERFACE)
add_library(lts::c_static ALIAS lts_c_static)
set_target_properties(lts_c_static PROPERTIES EXPORT_NAME c_static)
add_dependencies(lts_c_static lts)
target_include_directories(lts_c_static INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/cpp/include>
                                                  $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(lts_c_static INTERFACE $<BUILD_INTERFACE:$<TARGET_FILE:lts>>
                                             $<INSTALL_INTERFACE:$<TARGET_FILE:lts::lts>> stdc++ m)

add_library(lts_c SHARED $<TARGET_OBJECTS:lts_core> ${LTS_ALLOCATOR})
add_library(lts::c ALIAS lts_c)
lts_core_options(lts_c)
target_compile_definitions(lts_c PRIVATE LTS_OWN_ALLOCATOR)
# Before 1.0 a minor version may change the interface.
set_target_properties(lts_c PROPERTIES EXPORT_NAME c OUTPUT_NAME lts VERSION ${PROJECT_VERSION}
                                       SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                                       LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
target_link_options(lts_c PRIVATE -Wl,--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
if(NOT LTS_SANITIZE) # whose libraries come with the program
  target_link_options(lts_c PRIVATE -Wl,--gc-sections -Wl,--as-needed -Wl,-z,defs -static-libgcc)
endif()
if(LTS_STATIC_LIBSTDCXX)
  # Named one by one, because the compiler would add the library of mathematics, of which nothing is used where rounding
  # is an instruction.
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    set(LTS_LIBM -lm)
  endif()
  target_sources(lts_c PRIVATE ${LTS_TERMINATE})
  target_link_options(lts_c PRIVATE -nodefaultlibs)
  target_link_libraries(lts_c PRIVATE -Wl,-Bstatic -lstdc++ -lgcc -lgcc_eh -Wl,-Bdynamic ${LTS_LIBM} -lc)
endif()
if(NOT LTS_INSTALL)
  set_target_properties(lts_c PROPERTIES EXCLUDE_FROM_ALL ON)
endif()
