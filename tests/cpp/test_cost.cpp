#include <gtest/gtest.h>

#include <functional>

#include "architecture_fixture.hpp"
#include "lts/analytic.hpp"
#include "lts/cost.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

constexpr double mib = 1024.0 * 1024.0;

using fixture::small_gpt2;
using fixture::small_llama;

// Small enough to count by hand; the numbers below were.

/// Heads are 1 wide, all four 4.
Architecture small_transformer_xl() {
  return fixture::architecture_of("transformer_xl", 10, 6, 6, {{.n_head = 4, .n_kv_head = 4, .d_ff = 8}});
}

/// GPT-2 with clusters of 4 tokens of width 2 and 6 tokens of width 1.
Architecture small_adaptive() {
  Architecture a = small_gpt2();
  a.d_embed = 2;
  a.div_val = 2;
  a.cutoffs = {4, 10};
  return a;
}

constexpr Workload three{.n_prompt = 3};

TEST(Cost, Gpt2ByHand) {
  const Architecture a = small_gpt2();
  const ParameterCounts counts = count_parameters(a);
  EXPECT_EQ(counts.attention, 4 * 16 + 4 * 4);
  EXPECT_EQ(counts.feed_forward, 2 * 32 + 8 + 4);
  EXPECT_EQ(counts.decoder, 180);
  EXPECT_EQ(counts.embedding, 10 * 4 + 6 * 4);
  EXPECT_EQ(counts.softmax, 0);
  EXPECT_EQ(counts.total(), 244);
  // Per token: four 4x4 and two 4x8 matrices, logits 4x10. Scores and their sum: two times 4 per pair of tokens.
  EXPECT_EQ(flops_prefill(a, three), 2.0 * (3 * (64 + 64 + 40) + 2 * 4 * 9));
  EXPECT_EQ(flops_decode(a, three), 2.0 * (64 + 64 + 40 + 2 * 4 * 4));
  EXPECT_EQ(kv_cache_bytes(a, three), 3 * (4 + 4) * 4);
  EXPECT_EQ(weight_bytes(a, three), 976);
  // Attention: queries, keys, values and their mix 3x16, scores before and after the softmax 2 x 2x3x3; residual 2 x
  // 3x4.
  EXPECT_EQ(peak_memory_bytes(a, three), 976 + 96 + 4 * (48 + 36 + 24));
}

TEST(Cost, TransformerXlByHand) {
  const Architecture a = small_transformer_xl();
  const ParameterCounts counts = count_parameters(a);
  EXPECT_EQ(counts.attention, 5 * 24 + 2 * 4);
  EXPECT_EQ(counts.feed_forward, 2 * 48 + 8 + 6);
  EXPECT_EQ(counts.decoder, 128 + 110 + 24);
  EXPECT_EQ(counts.embedding, 60);
  EXPECT_EQ(counts.softmax, 10);
  // Content and position scores and the sum over values: three times 4 per pair of tokens.
  EXPECT_EQ(flops_prefill(a, three), 2.0 * (3 * (5 * 24 + 96 + 60) + 3 * 4 * 9));
  // Keys, values and positions of the three remembered tokens are projected again.
  EXPECT_EQ(flops_decode(a, three), 2.0 * (2 * 24 + 4 * 3 * 24 + 96 + 60 + 3 * 4 * 4));
  EXPECT_EQ(kv_cache_bytes(a, three), 3 * 6 * 4);
}

TEST(Cost, LlamaByHand) {
  const Architecture a = small_llama();
  const ParameterCounts counts = count_parameters(a);
  EXPECT_EQ(counts.attention, 64 + 32 + 32 + 64);
  EXPECT_EQ(counts.feed_forward, 3 * 48);
  EXPECT_EQ(counts.decoder, 192 + 144 + 2 * 8 + 8);
  EXPECT_EQ(counts.embedding, 80);
  EXPECT_EQ(counts.softmax, 80);
  EXPECT_EQ(flops_prefill(a, three), 2.0 * (3 * (192 + 144 + 80) + 2 * 8 * 9));
  EXPECT_EQ(flops_decode(a, three), 2.0 * (192 + 144 + 80 + 2 * 8 * 4));
  EXPECT_EQ(kv_cache_bytes(a, three), 3 * 2 * 4 * 4);
  // Attention 3x(8+8+4+4) + 2x2x9 = 108 beats the gated feed-forward 3x3x6 = 54; residual 48; logits 3x(10+8) = 54.
  EXPECT_EQ(peak_memory_bytes(a, three), 4 * (360 + 160) + 96 + 4 * (108 + 48));
}

TEST(Cost, AdaptiveByHand) {
  const Architecture a = small_adaptive();
  const ParameterCounts counts = count_parameters(a);
  EXPECT_EQ(counts.embedding, (4 * 2 + 2 * 4) + (6 * 1 + 1 * 4) + 24);
  EXPECT_EQ(counts.softmax, 10 + (2 + 1) + 4 * 2);  // biases, one tail cluster, the first projection is not tied
  EXPECT_EQ(counts.decoder, 180);
  // Input: one projection per token; output: the head's own 4x2, the tied 1x4, tables 4x2 and 6x1, the cluster's 2x1.
  EXPECT_EQ(flops_prefill(a, three), 2.0 * (3 * (128 + 8 + (8 + 4) + (8 + 6) + 2) + 72));
}

TEST(Cost, TheFeedForwardOrTheLogitsCanBeThePeak) {
  constexpr std::int64_t four = 4;
  Architecture a = small_gpt2();
  a.layers[0].d_ff = 100;
  EXPECT_EQ(peak_memory_bytes(a, three), four * total_params(a) + 96 + four * (2 * 3 * 100 + 24));
  a.vocab_size = 1000;
  EXPECT_EQ(peak_memory_bytes(a, three), four * total_params(a) + 96 + four * 3 * (1000 + 4));
  Architecture b = small_llama();
  b.layers[0].d_ff = 100;
  EXPECT_EQ(peak_memory_bytes(b, three), four * total_params(b) + 96 + four * (3 * 3 * 100 + 48));
}

TEST(Cost, PrecisionsAndOddSizes) {
  Architecture a = small_gpt2();
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::float32}), 976);
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::float16}), 488);
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int8}), 244);
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int4}), 122);
  EXPECT_EQ(kv_cache_bytes(a, {.n_prompt = 3, .activations = Precision::int4}), 12);
  // Every weight is rounded up by itself: d_model 3 and d_ff 5 make 10 vectors of 3, 1 of 5, 4 of 9, 2 of 15 elements,
  // and tables of 33 and 15.
  a.vocab_size = 11;
  a.n_positions = 5;
  a.d_model = 3;
  a.layers = {{.n_head = 1, .n_kv_head = 1, .d_ff = 5}};
  EXPECT_EQ(total_params(a), (4 + 4 + 2 + 1) * 3 + 5 + 4 * 9 + 2 * 15 + 33 + 15);
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int4}), 11 * 2 + 3 + 4 * 5 + 2 * 8 + 17 + 8);
}

TEST(Cost, PrecisionNames) {
  EXPECT_EQ(precision("float32"), Precision::float32);
  EXPECT_EQ(precision("float16"), Precision::float16);
  EXPECT_EQ(precision("int8"), Precision::int8);
  EXPECT_EQ(precision("int4"), Precision::int4);
  EXPECT_EQ(oracle::message_of([] { (void)precision("fp32"); }),
            "unknown precision 'fp32'; expected float32, float16, int8 or int4");
}

TEST(Cost, FlopsOfPlainModelsAreTheClosedFormula) {
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    Architecture a = random.below(2) == 0 ? small_gpt2() : small_llama();
    const bool gated = a.family->name == "llama";
    a.d_model = oracle::pick(random, {48, 96});
    a.vocab_size = 1 + static_cast<std::int64_t>(random.below(1000));
    a.tie_embedding = random.below(2) == 0;
    a.layers.clear();
    for (std::uint32_t l = random.below(5); l < 5; ++l) {
      const std::int64_t n_head = oracle::pick(random, {2, 4, 8});
      a.layers.push_back(
          {.n_head = n_head, .n_kv_head = gated ? n_head / 2 : n_head, .d_ff = oracle::pick(random, {7, 64})});
    }
    const Workload w{.batch = 1 + static_cast<std::int64_t>(random.below(4)),
                     .n_prompt = 1 + static_cast<std::int64_t>(random.below(200))};
    const std::int64_t d = a.d_model;
    std::int64_t per_token = d * a.vocab_size;  // the output is computed whether its weights are shared or not
    std::int64_t per_pair = 0;
    std::int64_t cached = 0;
    for (const Layer& layer : a.layers) {
      const std::int64_t kv = layer.n_kv_head * (d / layer.n_head);
      per_token += 2 * d * d + 2 * d * kv + (gated ? 3 : 2) * d * layer.d_ff;
      per_pair += 2 * d;
      cached += 2 * kv;
    }
    const std::int64_t n = w.n_prompt;
    ASSERT_EQ(flops_prefill(a, w), static_cast<double>(2 * w.batch * (n * per_token + n * n * per_pair)));
    ASSERT_EQ(flops_decode(a, w), static_cast<double>(2 * w.batch * (per_token + (n + 1) * per_pair)));
    ASSERT_EQ(kv_cache_bytes(a, w), w.batch * n * cached * 4);
    ASSERT_EQ(weight_bytes(a, w), 4 * total_params(a));
  }
}

TEST(Cost, MoreIsNeverCheaper) {
  Random random(2);
  const std::vector<std::function<void(Architecture&, Workload&)>> steps{
      [](Architecture& a, Workload&) { a.layers.push_back(a.layers.back()); },
      [](Architecture& a, Workload&) { a.layers.front().d_ff += 10; },
      [](Architecture& a, Workload&) { a.vocab_size += 10; },
      [](Architecture& a, Workload&) { a.d_model *= 2; },
      [](Architecture&, Workload& w) { w.n_prompt += 5; },
      [](Architecture&, Workload& w) { w.batch += 1; }};
  for (int i = 0; i < 300; ++i) {
    const std::vector<Architecture> bases{small_gpt2(), small_transformer_xl(), small_llama(), small_adaptive()};
    const Architecture& before = bases[random.below(4)];
    const Workload workload{.batch = 1 + static_cast<std::int64_t>(random.below(4)),
                            .n_prompt = 1 + static_cast<std::int64_t>(random.below(100))};
    Architecture after = before;
    Workload more = workload;
    const std::uint32_t step = random.below(static_cast<std::uint32_t>(steps.size()));
    steps[step](after, more);
    validate(after);
    for (const std::string_view name : analytic_names()) {
      ASSERT_GE(analytic(name)(after, more), analytic(name)(before, workload)) << name << " after step " << step;
    }
    ASSERT_GT(flops_prefill(after, more), flops_prefill(before, workload)) << step;
  }
}

TEST(Cost, LessPrecisionIsLessMemoryAndTheSameWork) {
  for (const Architecture& a : {small_gpt2(), small_transformer_xl(), small_llama(), small_adaptive()}) {
    const Workload full{};
    double before[3] = {1e300, 1e300, 1e300};
    for (const Precision p : {Precision::float32, Precision::float16, Precision::int8, Precision::int4}) {
      const Workload w{.weights = p, .activations = p};
      const double now[3] = {static_cast<double>(weight_bytes(a, w)), static_cast<double>(kv_cache_bytes(a, w)),
                             static_cast<double>(peak_memory_bytes(a, w))};
      for (int i = 0; i < 3; ++i) {
        EXPECT_LT(now[i], before[i]);
        before[i] = now[i];
      }
      EXPECT_EQ(flops_prefill(a, w), flops_prefill(a, full));
    }
  }
}

TEST(Cost, WorkIsProportionalToTheBatch) {
  for (const Architecture& a : {small_gpt2(), small_transformer_xl(), small_llama(), small_adaptive()}) {
    EXPECT_EQ(flops_prefill(a, {.batch = 5}), 5 * flops_prefill(a));
    EXPECT_EQ(flops_decode(a, {.batch = 5}), 5 * flops_decode(a));
    EXPECT_EQ(kv_cache_bytes(a, {.batch = 5}), 5 * kv_cache_bytes(a));
    EXPECT_EQ(weight_bytes(a, {.batch = 5}), weight_bytes(a));
  }
}

}  // namespace
}  // namespace lts
