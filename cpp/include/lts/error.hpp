#pragma once

#include <initializer_list>
#include <stdexcept>  // what it throws
#include <string_view>

namespace lts {

/// Throws `std::invalid_argument` whose message is the parts, joined: what was wrong, where, and what would be right.
[[noreturn]] void throw_invalid(std::initializer_list<std::string_view> parts);

}  // namespace lts
