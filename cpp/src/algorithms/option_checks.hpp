#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lts/error.hpp"

// What the options of algorithms have in common.
namespace lts::detail {

constexpr std::uint32_t kMostPerGeneration = 1'000'000;

/// @throws std::invalid_argument unless the number of architectures is from `least` to 1,000,000.
inline void check_count(std::string_view algorithm, std::string_view name, std::uint32_t value, std::uint32_t least) {
  if (value >= least && value <= kMostPerGeneration) return;
  throw_invalid({"algorithm ", algorithm, ": ", name, " is ", std::to_string(value), "; allowed are ",
                 std::to_string(least), " to ", std::to_string(kMostPerGeneration)});
}

/// @throws std::invalid_argument unless it is from 0 to 1.
inline void check_probability(std::string_view algorithm, std::string_view name, double value) {
  if (value >= 0.0 && value <= 1.0) return;
  throw_invalid({"algorithm ", algorithm, ": ", name, " is ", to_text(value), "; allowed are 0 to 1"});
}

}  // namespace lts::detail
