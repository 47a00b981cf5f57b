#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "lts/family.hpp"
#include "message.hpp"

namespace lts {
namespace {

void expect_equal(const Family& f, const Family& expected) {
  EXPECT_EQ(f.name, expected.name);
  EXPECT_EQ(f.attention, expected.attention);
  EXPECT_EQ(f.feed_forward, expected.feed_forward);
  EXPECT_EQ(f.norm, expected.norm);
  EXPECT_EQ(f.norm_placement, expected.norm_placement);
  EXPECT_EQ(f.parallel, expected.parallel);
  EXPECT_EQ(f.final_norm, expected.final_norm);
  EXPECT_EQ(f.position, expected.position);
  EXPECT_EQ(f.head_width, expected.head_width);
  EXPECT_EQ(f.attention_bias, expected.attention_bias);
  EXPECT_EQ(f.feed_forward_bias, expected.feed_forward_bias);
  EXPECT_EQ(f.embedding, expected.embedding);
  EXPECT_EQ(f.adaptive_allowed, expected.adaptive_allowed);
  EXPECT_EQ(f.tie_embedding, expected.tie_embedding);
  EXPECT_EQ(f.norm_epsilon, expected.norm_epsilon);
  EXPECT_EQ(f.rotary_theta, expected.rotary_theta);
  EXPECT_EQ(f.encoder, expected.encoder);
  EXPECT_EQ(f.mixed, expected.mixed);
  EXPECT_EQ(f.only_d_model, expected.only_d_model);
  EXPECT_EQ(f.only_d_ff, expected.only_d_ff);
}

TEST(Family, NineAreKnown) {
  std::vector<std::string_view> names;
  for (const Family& f : families()) names.push_back(f.name);
  EXPECT_EQ(names, (std::vector<std::string_view>{"gpt2", "transformer_xl", "llama", "hw_gpt", "hw_gpt_gated",
                                                  "hw_gpt_gated_bias", "flexibert", "flexibert_official", "gpt_neox"}));
  for (const Family& f : families()) EXPECT_EQ(&family(f.name), &f);
}

TEST(Family, Gpt2) {
  expect_equal(family("gpt2"), {.name = "gpt2",
                                .attention = Attention::multi_head,
                                .feed_forward = FeedForward::gelu,
                                .norm = Norm::layer_norm,
                                .norm_placement = NormPlacement::before,
                                .final_norm = true,
                                .position = Position::learned,
                                .head_width = HeadWidth::exact,
                                .attention_bias = true,
                                .feed_forward_bias = true,
                                .embedding = Embedding::plain,
                                .adaptive_allowed = true,
                                .tie_embedding = true,
                                .norm_epsilon = 1e-5,
                                .rotary_theta = 10000.0});
}

TEST(Family, TransformerXl) {
  expect_equal(family("transformer_xl"), {.name = "transformer_xl",
                                          .attention = Attention::multi_head,
                                          .feed_forward = FeedForward::relu,
                                          .norm = Norm::layer_norm,
                                          .norm_placement = NormPlacement::after,
                                          .final_norm = false,
                                          .position = Position::relative,
                                          .head_width = HeadWidth::floor,
                                          .attention_bias = false,
                                          .feed_forward_bias = true,
                                          .embedding = Embedding::adaptive,
                                          .adaptive_allowed = true,
                                          .tie_embedding = true,
                                          .norm_epsilon = 1e-5,
                                          .rotary_theta = 10000.0});
}

TEST(Family, HwGpt) {
  Family expected = family("gpt2");
  expected.name = "hw_gpt";
  expected.attention_bias = false;
  expected.feed_forward_bias = false;
  expect_equal(family("hw_gpt"), expected);
  expected.name = "hw_gpt_gated";
  expected.feed_forward = FeedForward::swiglu;
  expect_equal(family("hw_gpt_gated"), expected);
  expected.name = "hw_gpt_gated_bias";
  expected.attention_bias = true;
  expected.feed_forward_bias = true;
  expect_equal(family("hw_gpt_gated_bias"), expected);
}

TEST(Family, Flexibert) {
  Family expected = family("gpt2");
  expected.name = "flexibert";
  expected.norm_placement = NormPlacement::after;
  expected.final_norm = false;
  expected.adaptive_allowed = false;
  expected.norm_epsilon = 1e-12;
  expected.encoder = true;
  expected.mixed = true;
  expect_equal(family("flexibert"), expected);
  expected.name = "flexibert_official";
  expected.only_d_model = 256;
  expected.only_d_ff = 1024;
  expect_equal(family("flexibert_official"), expected);
}

TEST(Mixer, NamesAndKernels) {
  for (int i = 0; i < n_mixers; ++i) EXPECT_EQ(mixer(mixer_name(static_cast<Mixer>(i))), static_cast<Mixer>(i));
  EXPECT_EQ(kernel_of(Mixer::convolution_5), 5);
  EXPECT_EQ(kernel_of(Mixer::convolution_9), 9);
  EXPECT_EQ(kernel_of(Mixer::fourier), 0);
  EXPECT_EQ(oracle::message_of([] { mixer("mamba"); }),
            "unknown mixer 'mamba'; expected one of attention, weighted_attention, fourier, cosine, convolution_5, "
            "convolution_9");
}

TEST(Family, Llama) {
  expect_equal(family("llama"), {.name = "llama",
                                 .attention = Attention::grouped_query,
                                 .feed_forward = FeedForward::swiglu,
                                 .norm = Norm::rms_norm,
                                 .norm_placement = NormPlacement::before,
                                 .final_norm = true,
                                 .position = Position::rotary,
                                 .head_width = HeadWidth::exact,
                                 .attention_bias = false,
                                 .feed_forward_bias = false,
                                 .embedding = Embedding::plain,
                                 .adaptive_allowed = false,
                                 .tie_embedding = false,
                                 .norm_epsilon = 1e-5,
                                 .rotary_theta = 10000.0});
}

TEST(Family, GptNeox) {
  expect_equal(family("gpt_neox"), {.name = "gpt_neox",
                                    .attention = Attention::multi_head,
                                    .feed_forward = FeedForward::gelu_erf,
                                    .norm = Norm::layer_norm,
                                    .norm_placement = NormPlacement::before,
                                    .parallel = true,
                                    .final_norm = true,
                                    .position = Position::rotary,
                                    .head_width = HeadWidth::exact,
                                    .attention_bias = true,
                                    .feed_forward_bias = true,
                                    .embedding = Embedding::plain,
                                    .adaptive_allowed = false,
                                    .tie_embedding = false,
                                    .norm_epsilon = 1e-5,
                                    .rotary_theta = 10000.0});
}

TEST(Family, AnUnknownNameListsTheKnown) {
  EXPECT_EQ(oracle::message_of([] { (void)family("bert"); }),
            "unknown family 'bert'; expected one of gpt2, transformer_xl, llama, hw_gpt, hw_gpt_gated, "
            "hw_gpt_gated_bias, flexibert, flexibert_official, gpt_neox");
}

}  // namespace
}  // namespace lts
