#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "lts/search_space_options.hpp"

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

inline std::string describe(const Heads& heads) {
  return "[" + number(heads.n_head) + ", " + number(heads.n_kv_head) + "]";
}

/// The feed-forward width that is that multiple of d_model, or the nearest integer.
inline std::int64_t width_of(double ratio, std::int64_t d_model) {
  return std::llround(ratio * static_cast<double>(d_model));
}

/// What `head_dim` of architectures may be.
inline std::vector<std::int64_t> head_dims_of(const SearchSpaceOptions& o) {
  return o.head_dim_choices.empty() ? std::vector<std::int64_t>{o.head_dim} : o.head_dim_choices;
}

/// The details of architectures of the space with the biases of that choice; without such choices those of the space.
inline Details details_of(const SearchSpaceOptions& o, const Family& family, std::size_t bias) {
  Details details = o.details;
  if (o.bias.empty()) return details;
  const auto& [qkv, attention_output, feed_forward] = o.bias[bias];
  details.qkv_bias = qkv;
  details.attention_output_bias = attention_output;
  details.feed_forward_bias = feed_forward;
  return differences(details, family);
}

/// Checks and sorts the options. @throws std::invalid_argument naming the dimension or rule that is wrong.
const Family& check_options(SearchSpaceOptions& options);

/// Whether no layer has any weights, which makes no architecture.
inline bool all_empty(const Architecture& a) {
  return std::all_of(a.layers.begin(), a.layers.end(), [](const Layer& layer) { return layer.empty(); });
}

/// Whether all layers of an architecture have equally many heads of keys and values.
inline bool shares_n_kv_head(const SearchSpaceOptions& o) {
  return o.heads.empty() ? o.shared_n_kv_head : o.shared_n_head;
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

/// Whether the rules of the space allow the width that the layer's heads have in such architectures.
inline bool heads_fit(const SearchSpaceOptions& o, const Architecture& a, const Layer& layer) {
  return o.head_dims.empty() || layer.n_head == 0 || has(o.head_dims, a.width_of_head(layer));
}

}  // namespace lts::detail
