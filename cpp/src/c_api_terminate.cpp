// The C++ library that the shared one brings along prints the type of an exception that nobody caught, and has a
// demangler of 40 KB for it. None leaves a function of lts.h, so that all of that is never used.

#include <cstdlib>

namespace __gnu_cxx {

// NOLINTNEXTLINE(bugprone-reserved-identifier): this is what the library calls it
[[noreturn]] void __verbose_terminate_handler();

[[noreturn]] void __verbose_terminate_handler() { std::abort(); }

}  // namespace __gnu_cxx
