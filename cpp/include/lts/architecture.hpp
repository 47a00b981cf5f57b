#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "lts/family.hpp"

namespace lts {

/// Rotary positions for contexts longer than those of the first training, as Llama 3.1 has them (Grattafiori et al.
/// 2024): wavelengths above `original_positions / low_freq_factor` are `factor` times longer, those below
/// `original_positions / high_freq_factor` as they were, and those between interpolated.
struct RotaryScaling {
  double factor = 1.0;                     ///< from 1
  double low_freq_factor = 1.0;            ///< above 0
  double high_freq_factor = 4.0;           ///< above `low_freq_factor`
  std::int64_t original_positions = 8192;  ///< longest context of the first training, in tokens
  friend bool operator==(const RotaryScaling&, const RotaryScaling&) = default;
};

/// What architectures of one family may differ in beside their widths. Absent: as the family has it. What goes with
/// rotary positions is refused in other families, and biases cannot be chosen in mixed and relative ones.
struct Details {
  std::optional<double> rotary_theta = {};  ///< base of the wavelengths, from 1 to 1e12
  std::optional<double> norm_epsilon = {};  ///< added to the variance by the norms, above 0 and at most 1
  std::int64_t rotary_dim = 0;              ///< of each head, that many first channels are rotated; 0: all
  std::optional<RotaryScaling> rotary_scaling = {};
  std::optional<bool> qkv_bias = {};  ///< of the projections to queries, keys and values
  std::optional<bool> attention_output_bias = {};
  std::optional<bool> feed_forward_bias = {};
  friend bool operator==(const Details&, const Details&) = default;
};

/// The details without what the family has anyway.
Details differences(const Details& details, const Family& family) noexcept;

/// The widths of one layer. Without heads it has no attention, with `d_ff` 0 no feed-forward network, and neither their
/// norms: what comes in passes. Mixed families, encoders and transformer_xl have both in every layer.
struct Layer {
  std::int64_t n_head = 1;
  std::int64_t n_kv_head = 1;
  std::int64_t d_ff = 1;
  std::int64_t n_ff = 1;  ///< hidden layers of the feed-forward network; above 1 in mixed families only
  Mixer mixer = Mixer::attention;
  /// Whether it has no weights at all.
  [[nodiscard]] bool empty() const noexcept { return n_head == 0 && d_ff == 0; }
  friend bool operator==(const Layer&, const Layer&) = default;
};

/// The deepest architecture that is accepted.
inline constexpr std::int64_t max_layers = 4096;
/// The widest: products of two widths and the number of layers stay far from overflow.
inline constexpr std::int64_t max_width = std::int64_t{1} << 20;

/// A Transformer language model, every layer with its own heads and feed-forward width.
struct Architecture {
  const Family* family = nullptr;  ///< points into `families()`
  std::int64_t vocab_size = 0;
  std::int64_t n_positions = 0;  ///< longest context with a learned position; `tgt_len` of the published tables
  std::int64_t d_model = 0;
  std::int64_t head_dim = 0;  ///< 0: d_model / n_head of each layer
  std::vector<Layer> layers;

  std::int64_t d_embed = -1;  ///< -1: d_model
  std::int64_t div_val = 1;
  std::vector<std::int64_t> cutoffs;  ///< as configured; see `visit_clusters`
  std::vector<bool> tie_projs;        ///< empty: the first cluster untied, the others tied
  bool tie_embedding = true;          ///< output weights are the embedding's
  Details details = {};

  [[nodiscard]] std::int64_t n_layer() const noexcept { return static_cast<std::int64_t>(layers.size()); }
  [[nodiscard]] std::int64_t embedding_width() const noexcept { return d_embed < 0 ? d_model : d_embed; }
  [[nodiscard]] std::int64_t width_of_head(const Layer& layer) const noexcept {
    if (head_dim > 0) return head_dim;
    return layer.n_head > 0 ? d_model / layer.n_head : 0;
  }
  // The details, or what the family has in their place.
  [[nodiscard]] double rotary_theta() const noexcept { return details.rotary_theta.value_or(family->rotary_theta); }
  [[nodiscard]] double norm_epsilon() const noexcept { return details.norm_epsilon.value_or(family->norm_epsilon); }
  [[nodiscard]] bool qkv_bias() const noexcept { return details.qkv_bias.value_or(family->attention_bias); }
  [[nodiscard]] bool attention_output_bias() const noexcept {
    return details.attention_output_bias.value_or(family->attention_bias);
  }
  [[nodiscard]] bool feed_forward_bias() const noexcept {
    return details.feed_forward_bias.value_or(family->feed_forward_bias);
  }
  /// True when input and output use the adaptive embedding (Baevski and Auli 2019; Grave et al. 2017).
  [[nodiscard]] bool adaptive() const noexcept {
    return family->embedding == Embedding::adaptive || !cutoffs.empty() || div_val != 1 || embedding_width() != d_model;
  }
  /// True when all layers are equal.
  [[nodiscard]] bool uniform() const noexcept;

  /// Details that say what the family has are the same as none.
  friend bool operator==(const Architecture& a, const Architecture& b) noexcept;
};

/// The same function in fewer layers: those with neither attention nor feed-forward network are left out.
Architecture without_empty_layers(const Architecture& architecture);

/// A cluster of the adaptive embedding: the tokens from `begin` to before `end`, embedded `width` wide.
struct Cluster {
  std::size_t index = 0;
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t width = 0;
};

/// Number of clusters: cutoffs up to and including the first above `vocab_size`; 1 without cutoffs.
std::size_t n_clusters(const Architecture& architecture) noexcept;

/// Calls `visit(const Cluster&)` for every cluster, from the most frequent tokens on. They end at the cutoffs, the last
/// one at `vocab_size`; every width is the one before over `div_val`, which must not be 0. Allocates nothing.
template <class Visit>
void visit_clusters(const Architecture& a, Visit&& visit) {
  const std::size_t n = n_clusters(a);
  Cluster cluster{.width = a.embedding_width()};
  for (; cluster.index < n; ++cluster.index) {
    cluster.end = cluster.index + 1 < n ? a.cutoffs[cluster.index] : a.vocab_size;
    visit(static_cast<const Cluster&>(cluster));
    cluster.begin = cluster.end;
    cluster.width /= a.div_val;
  }
}

/// The ends of the clusters.
std::vector<std::int64_t> clean_cutoffs(const Architecture& architecture);

/// Whether the projection of adaptive cluster `i` is shared between input and softmax.
bool projection_tied(const Architecture& architecture, std::size_t i) noexcept;

/// Checks every field and their agreement.
/// @throws std::invalid_argument naming the field, the layer, the value and the allowed range.
void validate(const Architecture& architecture);

/// Whether `validate` accepts the architecture; faster than catching its exception.
[[nodiscard]] bool valid(const Architecture& architecture);

}  // namespace lts
