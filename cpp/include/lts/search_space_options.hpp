#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lts/architecture.hpp"

namespace lts {

/// Inclusive bounds; an absent one does not constrain.
struct Bounds {
  std::optional<std::int64_t> min = {};
  std::optional<std::int64_t> max = {};
  [[nodiscard]] bool unbounded() const noexcept { return !min && !max; }
  friend bool operator==(const Bounds&, const Bounds&) = default;
};

/// The heads of a layer's queries, and of its keys and values.
struct Heads {
  std::int64_t n_head = 0;
  std::int64_t n_kv_head = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes the 0 of the comparison for a pointer
  friend auto operator<=>(const Heads&, const Heads&) = default;
};

/// Which projections of a network have biases, in all of its layers: `Details` by the same names.
struct Biases {
  bool qkv = false;
  bool attention_output = false;
  bool feed_forward = false;
  // NOLINTNEXTLINE(modernize-use-nullptr, readability-implicit-bool-conversion): as above
  friend auto operator<=>(const Biases&, const Biases&) = default;
};

/// Fixed values, choices per dimension and validity rules. Choices are distinct; their order does not matter. Of
/// head_dim and bias a single choice is the same as a fixed value, and becomes it.
///
/// Limits: 4,194,304 combinations of d_model, head_dim, bias, n_head and n_kv_head, or heads, and d_ff; 1,048,576 of
/// d_model, d_embed and div_val; 1,000,000 of everything except the layers; 256 MiB of exact counts; and, with
/// parameter bounds, 2,000,000 distinct parameter sums of the layers of a d_model, found in 2^25 additions.
struct SearchSpaceOptions {
  std::string name = "unnamed";
  std::string family = "gpt2";

  // fixed
  std::int64_t vocab_size = 50257;
  std::int64_t n_positions = 1024;
  std::int64_t head_dim = 0;
  std::vector<std::int64_t> cutoffs = {};
  std::vector<bool> tie_projs = {};
  std::optional<bool> tie_embedding = {};  ///< absent: the family's default
  Details details = {};

  // choices
  std::vector<std::int64_t> n_layer = {};
  std::vector<std::int64_t> d_model = {};
  std::vector<std::int64_t> n_head = {};
  std::vector<std::int64_t> n_kv_head = {};  ///< empty: n_kv_head = n_head
  std::vector<Heads> heads = {};             ///< pairs, in place of n_head and n_kv_head; {0, 0}: no attention
  std::vector<std::int64_t> d_ff = {};       ///< 0: no feed-forward network
  std::vector<double> d_ff_ratio = {};       ///< in place of d_ff: multiples of d_model, which must make integers
  std::vector<std::int64_t> head_dim_choices = {};  ///< in place of head_dim: of the architecture
  std::vector<Biases> bias = {};                    ///< in place of the details of biases: of the architecture
  std::vector<std::int64_t> d_embed = {-1};
  std::vector<std::int64_t> div_val = {1};

  // dimensions that have one value for all layers of an architecture
  bool shared_n_head = false;  ///< with `heads`: the pair
  bool shared_n_kv_head = false;
  bool shared_d_ff = false;  ///< also of d_ff_ratio

  // rules
  double min_ff_ratio = 0.0;                 ///< d_ff >= min_ff_ratio * d_model
  std::optional<double> max_ff_ratio = {};   ///< d_ff <= max_ff_ratio * d_model
  std::vector<std::int64_t> head_dims = {};  ///< widths that heads may have; empty: any
  Bounds decoder_params = {};
  Bounds total_params = {};

  friend bool operator==(const SearchSpaceOptions&, const SearchSpaceOptions&) = default;
};

/// The pairs that the choices make, ascending, whatever the rules say: `heads`, or else those of n_head and n_kv_head.
std::vector<Heads> head_choices(const SearchSpaceOptions& options);

/// The feed-forward widths that go with a d_model, ascending, whatever the rules say: `d_ff`, or else `d_ff_ratio`
/// times it.
std::vector<std::int64_t> d_ff_choices(const SearchSpaceOptions& options, std::int64_t d_model);

}  // namespace lts
