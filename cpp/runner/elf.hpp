#pragma once

#include <string>

namespace lts::runner {

/// Checks that a file is a complete shared library for this processor. The system's loader would crash on a truncated
/// file, and says little about one for another processor.
/// @throws Error naming the file, with what is wrong.
void check_library(const std::string& path);

}  // namespace lts::runner
