#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lts {

/// How queries, keys and values are made and compared.
enum class Attention : std::uint8_t {
  multi_head,    ///< every head has its own key and value
  grouped_query  ///< `n_kv_head` heads of keys and values serve `n_head` heads of queries
};
enum class FeedForward : std::uint8_t {
  gelu,      ///< down(gelu(up(x))), tanh form of gelu
  relu,      ///< down(relu(up(x)))
  swiglu,    ///< down(silu(gate(x)) * up(x))
  gelu_erf,  ///< down(gelu(up(x))), exact gelu
};
enum class Norm : std::uint8_t { layer_norm, rms_norm };
enum class NormPlacement : std::uint8_t { before, after };
enum class Position : std::uint8_t {
  learned,   ///< a table of n_positions x d_model added to the embedding
  rotary,    ///< RoPE, no weights
  relative,  ///< Transformer-XL: a projection of sinusoids and two bias vectors per layer
};
enum class HeadWidth : std::uint8_t {
  exact,  ///< n_head must divide d_model
  floor   ///< heads are floor(d_model / n_head) wide, and the rest of the width is unused
};
enum class Embedding : std::uint8_t {
  plain,    ///< one table, adaptive only where the architecture asks for it
  adaptive  ///< always adaptive input and softmax, with cluster biases
};

/// How the tokens of a layer are mixed, in families whose layers differ in it (FlexiBERT; Tuli et al. 2022).
enum class Mixer : std::uint8_t {
  attention,           ///< scaled dot products of queries and keys
  weighted_attention,  ///< the same through one more matrix between query and key
  fourier,             ///< discrete Fourier transform, no weights but the output's
  cosine,              ///< discrete cosine transform, no weights but the output's
  convolution_5,       ///< dynamic convolution over 5 tokens beside attention (Jiang et al. 2020)
  convolution_9        ///< over 9 tokens
};
inline constexpr int n_mixers = static_cast<int>(Mixer::convolution_9) + 1;

std::string_view mixer_name(Mixer mixer) noexcept;
/// The mixer of that name. @throws std::invalid_argument naming the known mixers.
Mixer mixer(std::string_view name);

/// Tokens that a convolution reads; 0 for other mixers.
constexpr std::int64_t kernel_of(Mixer mixer) noexcept {
  if (mixer == Mixer::convolution_5) return 5;
  return mixer == Mixer::convolution_9 ? 9 : 0;
}

/// What architectures of one kind have in common. A new family is a new row of `families()`.
struct Family {
  std::string_view name;
  Attention attention = Attention::multi_head;
  FeedForward feed_forward = FeedForward::gelu;
  Norm norm = Norm::layer_norm;
  NormPlacement norm_placement = NormPlacement::before;
  bool parallel = false;  ///< attention and feed-forward network of a layer have one input, and their outputs are added
  bool final_norm = true;
  Position position = Position::learned;
  HeadWidth head_width = HeadWidth::exact;
  bool attention_bias = true;
  bool feed_forward_bias = true;
  Embedding embedding = Embedding::plain;
  bool adaptive_allowed = true;
  bool tie_embedding = true;  ///< default of `Architecture::tie_embedding`
  double norm_epsilon = 1e-5;
  double rotary_theta = 10000.0;
  bool encoder = false;           ///< bidirectional, without an output layer: counted and ranked, not searched
  bool mixed = false;             ///< layers have a `mixer` and `n_ff` of their own
  std::int64_t only_d_model = 0;  ///< the only width allowed; 0: any
  std::int64_t only_d_ff = 0;

  /// Whether a layer may lack attention or the feed-forward network.
  [[nodiscard]] constexpr bool parts_optional() const noexcept {
    return !mixed && !encoder && position != Position::relative;
  }
};

/// The known families: gpt2, transformer_xl, llama, hw_gpt, hw_gpt_gated, hw_gpt_gated_bias, flexibert,
/// flexibert_official, gpt_neox.
std::span<const Family> families() noexcept;

/// The family of that name. @throws std::invalid_argument naming the known families.
const Family& family(std::string_view name);

}  // namespace lts
