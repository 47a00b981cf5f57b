#pragma once

#include <string>

namespace lts::runner {

/// The text of a small file, for example in /proc, without white space at its ends; empty when it cannot be read.
std::string read_text(const std::string& path);

}  // namespace lts::runner
