#include "lts/family.hpp"

#include <array>
#include <string>

#include "lts/error.hpp"

namespace lts {

namespace {

constexpr std::array kFamilies{
    // GPT-2 (Radford et al. 2019), as in Hugging Face transformers.
    Family{.name = "gpt2"},
    // Transformer-XL (Dai et al. 2019): relative positions, post-norm, no attention biases, adaptive input and output.
    Family{.name = "transformer_xl",
           .feed_forward = FeedForward::relu,
           .norm_placement = NormPlacement::after,
           .final_norm = false,
           .position = Position::relative,
           .head_width = HeadWidth::floor,
           .attention_bias = false,
           .embedding = Embedding::adaptive},
    // LLaMA (Touvron et al. 2023) with grouped-query attention (Ainslie et al. 2023).
    Family{.name = "llama",
           .attention = Attention::grouped_query,
           .feed_forward = FeedForward::swiglu,
           .norm = Norm::rms_norm,
           .position = Position::rotary,
           .attention_bias = false,
           .feed_forward_bias = false,
           .adaptive_allowed = false,
           .tie_embedding = false,
           .norm_epsilon = 1e-5},
    // GPT-2 without biases in its layers, as HW-GPT-Bench (Sukthanker et al. 2024) builds it with heads 64 wide
    // whatever d_model; its architectures with biases choose them.
    Family{.name = "hw_gpt", .attention_bias = false, .feed_forward_bias = false},
    // The same with the gated network of the models that HW-GPT-Bench profiled on hardware.
    Family{.name = "hw_gpt_gated",
           .feed_forward = FeedForward::swiglu,
           .attention_bias = false,
           .feed_forward_bias = false},
    Family{.name = "hw_gpt_gated_bias", .feed_forward = FeedForward::swiglu},
    // FlexiBERT (Tuli et al. 2022) as its benchmark describes architectures.
    Family{.name = "flexibert",
           .norm_placement = NormPlacement::after,
           .final_norm = false,
           .adaptive_allowed = false,
           .norm_epsilon = 1e-12,
           .encoder = true,
           .mixed = true},
    // FlexiBERT as the models of Serianni and Kalita (2023) were built, whatever widths a description asks for.
    Family{.name = "flexibert_official",
           .norm_placement = NormPlacement::after,
           .final_norm = false,
           .adaptive_allowed = false,
           .norm_epsilon = 1e-12,
           .encoder = true,
           .mixed = true,
           .only_d_model = 256,
           .only_d_ff = 1024},
    // GPT-NeoX (Black et al. 2022) with the parallel residual, as Pythia (Biderman et al. 2023) has it.
    Family{.name = "gpt_neox",
           .feed_forward = FeedForward::gelu_erf,
           .parallel = true,
           .position = Position::rotary,
           .adaptive_allowed = false,
           .tie_embedding = false},
};

constexpr std::array<std::string_view, n_mixers> kMixerNames{"attention", "weighted_attention", "fourier",
                                                             "cosine",    "convolution_5",      "convolution_9"};

}  // namespace

std::span<const Family> families() noexcept { return kFamilies; }

const Family& family(std::string_view name) {
  for (const Family& f : kFamilies) {
    if (f.name == name) return f;
  }
  std::string known;
  for (const Family& f : kFamilies) known.append(known.empty() ? "" : ", ").append(f.name);
  throw_invalid({"unknown family '", name, "'; expected one of ", known});
}

std::string_view mixer_name(Mixer mixer) noexcept { return kMixerNames[static_cast<std::size_t>(mixer)]; }

Mixer mixer(std::string_view name) {
  for (std::size_t i = 0; i < kMixerNames.size(); ++i) {
    if (kMixerNames[i] == name) return static_cast<Mixer>(i);
  }
  std::string known;
  for (const std::string_view each : kMixerNames) known.append(known.empty() ? "" : ", ").append(each);
  throw_invalid({"unknown mixer '", name, "'; expected one of ", known});
}

}  // namespace lts
