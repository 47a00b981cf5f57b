#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lts/architecture.hpp"

namespace lts {

/// What a weight is for.
enum class Role : std::uint8_t {
  token_embedding,       ///< `index`: adaptive cluster
  embedding_projection,  ///< adaptive cluster to d_model; `index`: cluster
  position_embedding,
  token_type_embedding,  ///< encoders: tells two sentences apart
  embedding_norm,        ///< encoders: norm after the embedding
  attention_norm,
  query,
  key,
  value,
  relative_position,  ///< Transformer-XL: projects the sinusoids
  content_bias,       ///< Transformer-XL's u (`r_w_bias`)
  position_bias,      ///< Transformer-XL's v (`r_r_bias`)
  score,              ///< weighted attention: between query and key
  depthwise,          ///< dynamic convolution: every channel over neighboring tokens,
  pointwise,          ///< then channels to the width of the heads,
  kernel,             ///< to the taps of a token's kernels,
  convolution,        ///< which are applied to this projection
  attention_output,
  feed_forward_norm,
  gate,
  up,
  middle,  ///< between hidden layers of a feed-forward network; `index`: from 0
  down,
  final_norm,
  head,             ///< output weights where they are not the embedding's
  head_bias,        ///< adaptive softmax: one bias per token
  cluster,          ///< adaptive softmax: scores of the tail clusters
  head_projection,  ///< adaptive softmax: untied projection of cluster `index`
};
inline constexpr int n_roles = static_cast<int>(Role::head_projection) + 1;

/// The three parts that published parameter counts distinguish.
enum class Part : std::uint8_t { embedding, decoder, softmax };

enum class WeightKind : std::uint8_t {
  matrix,  ///< rows inputs, cols outputs: y = x W
  table,   ///< rows looked up by index
  scale,
  bias,
  convolution  ///< rows taps of cols channels, or rows inputs and cols outputs of a convolution of one tap
};

/// One weight of the inventory. Vectors have one row.
struct Weight {
  Role role = Role::token_embedding;
  WeightKind kind = WeightKind::matrix;
  std::int32_t layer = -1;  ///< -1 outside the layers
  std::int32_t index = 0;   ///< cluster of the adaptive embedding and softmax; place in a stack of feed-forward layers
  std::int64_t rows = 1;
  std::int64_t cols = 1;

  [[nodiscard]] std::int64_t size() const noexcept { return rows * cols; }
};

std::string_view role_name(Role role) noexcept;
std::string_view part_name(Part part) noexcept;
std::string_view weight_kind_name(WeightKind kind) noexcept;

/// Unique and stable: `token_embedding.0.weight`, `layers.3.query.weight`, `layers.3.query.bias`, `final_norm.scale`.
std::string weight_name(const Weight& weight);

constexpr Part part_of(Role role) noexcept {
  if (role <= Role::embedding_norm) return Part::embedding;
  return role >= Role::head ? Part::softmax : Part::decoder;
}
constexpr bool is_attention(Role role) noexcept { return role >= Role::query && role <= Role::attention_output; }
constexpr bool is_feed_forward(Role role) noexcept { return role >= Role::gate && role <= Role::down; }

/// Calls `emit(role, kind, rows, cols)` for every weight that mixes tokens in a layer of a mixed family: FlexiBERT
/// (Tuli et al. 2022), whose dynamic convolution (Jiang et al. 2020) has half of the heads and attention the others.
template <class Emit>
constexpr void visit_mixer_weights(const Architecture& a, const Layer& layer, Emit&& emit) {
  const std::int64_t d = a.d_model;
  const auto linear = [&](Role role, std::int64_t out) {
    emit(role, WeightKind::matrix, d, out);
    emit(role, WeightKind::bias, 1, out);
  };
  const std::int64_t taps = kernel_of(layer.mixer);
  const std::int64_t half = layer.n_head / 2;
  const std::int64_t width = taps == 0 ? d : half * (d / layer.n_head);
  if (layer.mixer != Mixer::fourier && layer.mixer != Mixer::cosine) {
    for (const Role role : {Role::query, Role::key, Role::value}) linear(role, width);
  }
  if (layer.mixer == Mixer::weighted_attention) emit(Role::score, WeightKind::matrix, d, d);
  if (taps != 0) {
    emit(Role::depthwise, WeightKind::convolution, taps, d);
    emit(Role::pointwise, WeightKind::convolution, d, width);
    emit(Role::pointwise, WeightKind::bias, 1, width);
    emit(Role::kernel, WeightKind::matrix, width, half * taps);
    emit(Role::kernel, WeightKind::bias, 1, half * taps);
    linear(Role::convolution, width);
  }
  linear(Role::attention_output, d);
}

/// Calls `visit(const Weight&)` for every weight of one layer, in order of use.
template <class Visit>
constexpr void visit_layer_weights(const Architecture& a, const Layer& layer, std::int32_t index, Visit&& visit) {
  const Family& f = *a.family;
  const std::int64_t d = a.d_model;
  const std::int64_t head = a.width_of_head(layer);
  const std::int64_t q = layer.n_head * head;
  const std::int64_t kv = (f.attention == Attention::grouped_query ? layer.n_kv_head : layer.n_head) * head;

  const auto emit = [&](Role role, WeightKind kind, std::int64_t rows, std::int64_t cols) {
    visit(Weight{.role = role, .kind = kind, .layer = index, .index = 0, .rows = rows, .cols = cols});
  };
  const auto linear = [&](Role role, std::int64_t in, std::int64_t out, bool bias) {
    emit(role, WeightKind::matrix, in, out);
    if (bias) emit(role, WeightKind::bias, 1, out);
  };
  const auto norm = [&](Role role) {
    emit(role, WeightKind::scale, 1, d);
    if (f.norm == Norm::layer_norm) emit(role, WeightKind::bias, 1, d);
  };

  if (layer.n_head > 0) norm(Role::attention_norm);
  if (f.mixed) {
    visit_mixer_weights(a, layer, emit);
  } else if (layer.n_head > 0) {
    linear(Role::query, d, q, a.qkv_bias());
    for (const Role role : {Role::key, Role::value}) linear(role, d, kv, a.qkv_bias());
    if (f.position == Position::relative) {
      linear(Role::relative_position, d, q, false);
      emit(Role::content_bias, WeightKind::bias, 1, q);
      emit(Role::position_bias, WeightKind::bias, 1, q);
    }
    linear(Role::attention_output, q, d, a.attention_output_bias());
  }
  if (layer.d_ff == 0) return;
  const bool bias = a.feed_forward_bias();
  norm(Role::feed_forward_norm);
  if (f.feed_forward == FeedForward::swiglu) linear(Role::gate, d, layer.d_ff, bias);
  linear(Role::up, d, layer.d_ff, bias);
  for (std::int32_t i = 0; i + 1 < layer.n_ff; ++i) {
    visit(Weight{.role = Role::middle, .layer = index, .index = i, .rows = layer.d_ff, .cols = layer.d_ff});
    if (bias)
      visit(Weight{.role = Role::middle, .kind = WeightKind::bias, .layer = index, .index = i, .cols = layer.d_ff});
  }
  linear(Role::down, layer.d_ff, d, bias);
}

/// Calls `visit(const Weight&)` for every weight before the layers (`Part::embedding`).
template <class Visit>
void visit_embedding_weights(const Architecture& a, Visit&& visit) {
  const auto emit = [&](Role role, WeightKind kind, std::size_t i, std::int64_t rows, std::int64_t cols) {
    visit(Weight{role, kind, -1, static_cast<std::int32_t>(i), rows, cols});
  };
  const std::int64_t d = a.d_model;
  const std::int64_t e = a.embedding_width();
  if (a.adaptive() && a.div_val != 1) {
    visit_clusters(a, [&](const Cluster& cluster) {
      emit(Role::token_embedding, WeightKind::table, cluster.index, cluster.end - cluster.begin, cluster.width);
      emit(Role::embedding_projection, WeightKind::matrix, cluster.index, cluster.width, d);
    });
  } else {
    emit(Role::token_embedding, WeightKind::table, 0, a.vocab_size, e);
    if (e != d) emit(Role::embedding_projection, WeightKind::matrix, 0, e, d);
  }
  if (a.family->position == Position::learned) {
    emit(Role::position_embedding, WeightKind::table, 0, a.n_positions, d);
  }
  if (a.family->encoder) {
    emit(Role::token_type_embedding, WeightKind::table, 0, 2, d);
    emit(Role::embedding_norm, WeightKind::scale, 0, 1, d);
    emit(Role::embedding_norm, WeightKind::bias, 0, 1, d);
  }
}

/// Calls `visit(const Weight&)` for every weight of the layers and the final norm (`Part::decoder`).
template <class Visit>
constexpr void visit_decoder_weights(const Architecture& a, Visit&& visit) {
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    visit_layer_weights(a, a.layers[l], static_cast<std::int32_t>(l), visit);
  }
  if (a.family->final_norm) {
    visit(Weight{.role = Role::final_norm, .kind = WeightKind::scale, .cols = a.d_model});
    if (a.family->norm == Norm::layer_norm) {
      visit(Weight{.role = Role::final_norm, .kind = WeightKind::bias, .cols = a.d_model});
    }
  }
}

/// Calls `visit(const Weight&)` for every weight of the output that is not the embedding's (`Part::softmax`).
template <class Visit>
void visit_softmax_weights(const Architecture& a, Visit&& visit) {
  const auto emit = [&](Role role, WeightKind kind, std::size_t i, std::int64_t rows, std::int64_t cols) {
    visit(Weight{role, kind, -1, static_cast<std::int32_t>(i), rows, cols});
  };
  if (a.family->encoder) return;
  const std::int64_t d = a.d_model;
  const std::int64_t e = a.embedding_width();
  if (!a.adaptive()) {
    if (!a.tie_embedding) emit(Role::head, WeightKind::matrix, 0, d, a.vocab_size);
    return;
  }
  emit(Role::head_bias, WeightKind::bias, 0, 1, a.vocab_size);
  if (const auto n_tails = static_cast<std::int64_t>(n_clusters(a)) - 1; n_tails > 0) {
    emit(Role::cluster, WeightKind::matrix, 0, e, n_tails);
    emit(Role::cluster, WeightKind::bias, 0, 1, n_tails);
  }
  if (a.div_val == 1 && e == d) return;
  visit_clusters(a, [&](const Cluster& cluster) {
    if (!projection_tied(a, cluster.index)) {
      emit(Role::head_projection, WeightKind::matrix, cluster.index, d, cluster.width);
    }
  });
}

/// The inventory: calls `visit(const Weight&)` for every weight of a valid architecture, in order of use.
/// Everything counted or exported derives from it. O(n_layer).
template <class Visit>
void visit_weights(const Architecture& a, Visit&& visit) {
  visit_embedding_weights(a, visit);
  visit_decoder_weights(a, visit);
  visit_softmax_weights(a, visit);
}

}  // namespace lts
