#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "lts/architecture.hpp"
#include "lts/weights.hpp"

namespace lts {

/// Bits per weight or activation element.
enum class Precision : std::uint8_t { float32 = 32, float16 = 16, int8 = 8, int4 = 4 };

/// The precision of that name. @throws std::invalid_argument naming the known precisions.
Precision precision(std::string_view name);

/// Positions of a prompt that get logits: all of them, as for training and scoring, or the last one, as for generating.
enum class Logits : std::uint8_t { all, last };

/// The positions of that name. @throws std::invalid_argument naming the known ones.
Logits logits(std::string_view name);

/// Parameters by role and in sum. "Decoder" is what LiteTransformerSearch calls non-embedding.
struct ParameterCounts {
  std::array<std::int64_t, n_roles> by_role{};
  std::int64_t attention = 0;
  std::int64_t feed_forward = 0;
  std::int64_t embedding = 0;
  std::int64_t decoder = 0;
  std::int64_t softmax = 0;
  [[nodiscard]] std::int64_t total() const noexcept { return embedding + decoder + softmax; }
};
ParameterCounts count_parameters(const Architecture& architecture);

/// Parameters of all layers and the final norm: the quality proxy of LiteTransformerSearch (arXiv 2203.02094,
/// section 3).
std::int64_t decoder_params(const Architecture& architecture);

/// Decoder parameters of one layer.
std::int64_t layer_params(const Architecture& architecture, const Layer& layer);

/// All parameters: embedding, decoder and softmax. Tied weights count once.
std::int64_t total_params(const Architecture& architecture);

/// What a cost is estimated for. One token per position, one sequence per row of the batch; both from 1 to 2^20.
struct Workload {
  std::int64_t batch = 1;
  std::int64_t n_prompt = 128;  ///< tokens of the prompt pass; also the context of a decode step
  Precision weights = Precision::float32;
  Precision activations = Precision::float32;
  Logits logits = Logits::all;
};

/// Checks the ranges of a workload. @throws std::invalid_argument naming the number that is out of range.
void validate(const Workload& workload);

// Operations and memory are defined for decoders: except for weight_bytes, the functions below throw
// std::invalid_argument for an encoder.

/// Floating-point operations of one prompt pass of `n_prompt` tokens. A multiply-add is two; the full n x n attention
/// is counted; norms, softmax and activations are left out.
double flops_prefill(const Architecture& architecture, const Workload& workload = {});

/// Floating-point operations of one generated token with `n_prompt` tokens of context before it.
double flops_decode(const Architecture& architecture, const Workload& workload = {});

/// Multiply-adds of one token outside of the layers: projections of the embedding, and logits.
double output_multiply_adds(const Architecture& architecture);

/// Bytes of all weights as they are exported, without what aligns them in a file. In float32 and float16 every weight
/// has that precision. A matrix or token table of m outputs or rows with n numbers each takes `n m + 4 m` in int8 and
/// `20 m ceil(n / 32)` in int4, both with float32 scales; the rest is float32. An int8 table that the output multiplies
/// with as well, the clusters' vectors included, is there twice with one set of scales: `2 n m + 4 m`. A projection
/// that the output uses the other way round is two matrices in both.
std::int64_t weight_bytes(const Architecture& architecture, const Workload& workload = {});

/// Bytes of keys and values of `n_prompt` tokens (Transformer-XL: of its memory of layer inputs).
std::int64_t kv_cache_bytes(const Architecture& architecture, const Workload& workload = {});

/// Estimated peak bytes of a prompt pass: weights, cache, logits and the largest set of activations alive at once.
/// Each of these saturates at 2^60.
std::int64_t peak_memory_bytes(const Architecture& architecture, const Workload& workload = {});

}  // namespace lts
