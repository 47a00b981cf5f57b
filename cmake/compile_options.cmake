# Compile options of our own code. Contracted floating point (a fused multiply-add on aarch64, none on x86-64) would
# let one seed give two searches, so it is off everywhere.
function(lts_compile_options target)
  target_compile_options(${target} PRIVATE -ffp-contract=off -fno-math-errno -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                           -Wsign-conversion -Wnon-virtual-dtor -Wold-style-cast)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict) # false positives on string + string, GCC bug 105651
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^arm")
    target_compile_options(${target} PRIVATE -Wno-psabi) # notes that GCC before 7 passed some arguments otherwise
  endif()
  if(LTS_WARNINGS_AS_ERRORS)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(LTS_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${LTS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${LTS_SANITIZE})
  endif()
  if(LTS_BUILD_FUZZERS)
    # Values come from the mutator, which knows JSON; tracing comparisons would but slow it down.
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link -fno-sanitize-coverage=trace-cmp
                                             -D_GLIBCXX_ASSERTIONS)
  endif()
endfunction()
