#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "lts/search_space.hpp"

// What the construction of a search space and the questions to it share.
namespace lts::detail {

constexpr std::int64_t kNoMin = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kNoMax = std::numeric_limits<std::int64_t>::max();

// What counting a space may take.
constexpr std::uint64_t kMaxWords = std::uint64_t{1} << 26;  // of all exact counts, of 32 bits each
constexpr std::uint64_t kMaxSteps = std::uint64_t{1} << 25;  // of adding a layer to a sum

inline std::string number(std::int64_t value) { return std::to_string(value); }

inline bool within(const Bounds& bounds, std::int64_t value) {
  return (!bounds.min || value >= *bounds.min) && (!bounds.max || value <= *bounds.max);
}

inline std::string describe(const Bounds& bounds) {
  std::string text = "[";
  text.append(bounds.min ? number(*bounds.min) : "-").append(", ");
  return text.append(bounds.max ? number(*bounds.max) : "-").append("]");
}

inline bool has(const std::vector<std::int64_t>& choices, std::int64_t value) {
  return std::binary_search(choices.begin(), choices.end(), value);
}

/// Whether the feed-forward width is below what the rules of the space ask for.
inline bool too_narrow(const SearchSpaceOptions& o, std::int64_t d_ff, std::int64_t d_model) {
  return static_cast<double>(d_ff) < o.min_ff_ratio * static_cast<double>(d_model);
}
inline bool too_wide(const SearchSpaceOptions& o, std::int64_t d_ff, std::int64_t d_model) {
  return o.max_ff_ratio && static_cast<double>(d_ff) > *o.max_ff_ratio * static_cast<double>(d_model);
}
inline bool ff_ratio_fits(const SearchSpaceOptions& o, std::int64_t d_ff, std::int64_t d_model) {
  return !too_narrow(o, d_ff, d_model) && !too_wide(o, d_ff, d_model);
}

/// Whether the rules of the space allow heads of that width.
inline bool head_fits(const SearchSpaceOptions& o, std::int64_t width) {
  return o.head_dims.empty() || has(o.head_dims, width);
}

}  // namespace lts::detail
