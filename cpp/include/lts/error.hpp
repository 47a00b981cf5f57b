#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lts {

/// Throws `std::invalid_argument` whose message is the parts, joined: what was wrong, where, and what would be right.
[[noreturn]] inline void throw_invalid(std::initializer_list<std::string_view> parts) {
  std::string message;
  for (const std::string_view part : parts) message += part;
  throw std::invalid_argument(message);
}

}  // namespace lts
