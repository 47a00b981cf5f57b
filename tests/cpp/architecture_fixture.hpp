#pragma once

// Architectures that several tests start from.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "lts/architecture.hpp"

namespace lts::fixture {

/// An architecture of a family, with everything else at its default.
inline Architecture architecture_of(std::string_view family_name, std::int64_t vocab_size, std::int64_t n_positions,
                                    std::int64_t d_model, std::vector<Layer> layers) {
  Architecture a;
  a.family = &family(family_name);
  a.vocab_size = vocab_size;
  a.n_positions = n_positions;
  a.d_model = d_model;
  a.layers = std::move(layers);
  a.tie_embedding = family_name != "llama" && family_name != "gpt_neox";
  return a;
}

/// GPT-2 small (Radford et al. 2019).
inline Architecture gpt2() {
  return architecture_of("gpt2", 50257, 1024, 768,
                         std::vector<Layer>(12, {.n_head = 12, .n_kv_head = 12, .d_ff = 3072}));
}

// Small enough to count by hand.

inline Architecture small_gpt2() {
  return architecture_of("gpt2", 10, 6, 4, {{.n_head = 2, .n_kv_head = 2, .d_ff = 8}});
}

inline Architecture small_llama() {
  return architecture_of("llama", 10, 6, 8, {{.n_head = 2, .n_kv_head = 1, .d_ff = 6}});
}

}  // namespace lts::fixture
