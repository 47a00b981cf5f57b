#pragma once

#include <string>

namespace lts::runner {

/// Checks that a file is a whole shared library for this processor. The system's loader would crash on a file that was
/// cut off, and says little about one for another processor.
/// @throws Error naming the file, with what is wrong.
void check_library(const std::string& path);

}  // namespace lts::runner
