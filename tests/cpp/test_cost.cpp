#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

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

/// A matrix of an exported model by its outputs, or rows of a table, and the inputs of each.
struct Stored {
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  bool twice = false;  ///< looked up and multiplied with: two forms with the same scales in int8
};

/// All matrices and tables of an exported model, family by family, and the number of its other weights.
std::pair<std::vector<Stored>, std::int64_t> exported(const Architecture& a) {
  std::vector<Stored> matrices;
  const std::int64_t d = a.d_model;
  const bool gpt2 = a.family->name == "gpt2";
  const bool llama = a.family->name == "llama";
  std::int64_t others = gpt2 ? a.n_positions * d + 2 * d : llama ? d : 0;
  for (const Layer& layer : a.layers) {
    const std::int64_t head = a.head_dim > 0 ? a.head_dim : d / layer.n_head;
    const std::int64_t q = layer.n_head * head;
    const std::int64_t kv = llama ? layer.n_kv_head * head : q;
    matrices.insert(matrices.end(), {{q, d}, {kv, d}, {kv, d}, {d, q}, {layer.d_ff, d}, {d, layer.d_ff}});
    if (llama) matrices.push_back({layer.d_ff, d});
    if (!llama && !gpt2) matrices.push_back({q, d});
    others += llama ? 2 * d : 4 * d + layer.d_ff + d + (gpt2 ? 3 * q + d : 2 * q);
  }
  if (!a.adaptive()) {
    matrices.push_back({a.vocab_size, d, a.tie_embedding});
    if (!a.tie_embedding) matrices.push_back({a.vocab_size, d});
    return {matrices, others};
  }
  const std::vector<std::int64_t> ends = clean_cutoffs(a);
  const auto n_tails = static_cast<std::int64_t>(ends.size()) - 1;
  bool back = false;
  std::int64_t begin = 0;
  std::int64_t width = a.embedding_width();
  for (std::size_t i = 0; i < ends.size(); ++i) {
    matrices.push_back({ends[i] - begin + (i == 0 ? n_tails : 0), width, true});
    const bool tied = a.tie_projs.empty() ? i > 0 : a.tie_projs[i];
    if (a.div_val != 1) matrices.push_back({d, width});
    if (a.div_val != 1 && tied) matrices.push_back({width, d});
    if ((a.div_val != 1 || width != d) && !tied) matrices.push_back({width, d});
    back = back || tied;
    begin = ends[i];
    width /= a.div_val;
  }
  if (a.div_val == 1 && width != d) matrices.push_back({d, width});
  if (a.div_val == 1 && width != d && back) matrices.push_back({width, d});
  return {matrices, others + a.vocab_size + n_tails};
}

std::int64_t exported_bytes(const Architecture& a, Precision precision) {
  const auto [matrices, others] = exported(a);
  std::int64_t sum = 4 * others;
  for (const Stored& m : matrices) {
    if (precision == Precision::int8) {
      sum += (m.twice ? 2 : 1) * m.outputs * m.inputs + 4 * m.outputs;
      continue;
    }
    for (std::int64_t begin = 0; begin < m.inputs; begin += 32) sum += m.outputs * (32 / 2 + 4);
  }
  return sum;
}

/// Multiply-adds of the output for one position.
std::int64_t output_of_a_position(const Architecture& a) {
  if (!a.adaptive()) return a.vocab_size * a.d_model;
  const std::vector<std::int64_t> ends = clean_cutoffs(a);
  std::int64_t width = a.embedding_width();
  std::int64_t sum = (static_cast<std::int64_t>(ends.size()) - 1) * width;
  std::int64_t begin = 0;
  for (const std::int64_t end : ends) {
    sum += (end - begin) * width;
    if (a.div_val != 1 || width != a.d_model) sum += width * a.d_model;
    begin = end;
    width /= a.div_val;
  }
  return sum;
}

/// A decoder with layers that differ, every second one with an adaptive embedding where its family has that.
Architecture any_decoder(Random& random) {
  const std::string_view family = std::vector<std::string_view>{"gpt2", "transformer_xl", "llama"}[random.below(3)];
  Architecture a = fixture::architecture_of(family, 50 + random.below(100), 16, oracle::pick(random, {24, 40, 64}), {});
  for (std::uint32_t l = random.below(3); l < 3; ++l) {
    const std::int64_t n_head = oracle::pick(random, {2, 4});
    a.layers.push_back(
        {.n_head = n_head, .n_kv_head = family == "llama" ? 2 : n_head, .d_ff = oracle::pick(random, {7, 32, 65})});
  }
  if (family == "llama" || (family == "gpt2" && random.below(2) == 0)) {
    a.tie_embedding = random.below(2) == 0;
  } else {
    a.d_embed = oracle::pick(random, {-1, 16, 33});
    a.div_val = oracle::pick(random, {1, 2, 4});
    const std::vector<std::vector<std::int64_t>> cutoffs{
        {}, {20}, {20, a.vocab_size}, {10, 30, a.vocab_size}, {9, 500}};
    a.cutoffs = cutoffs[random.below(5)];
    if (random.below(2) == 0) {
      for (std::size_t i = n_clusters(a); i > 0; --i) a.tie_projs.push_back(random.below(2) == 0);
    }
  }
  return a;
}

// A layer whose two parts are in two layers, with one more that has nothing: the same model.
TEST(Cost, PartsOfLayersCountWhereTheyAre) {
  for (const Architecture& whole : {small_gpt2(), small_llama()}) {
    Architecture split = whole;
    split.head_dim = whole.width_of_head(whole.layers[0]);
    const Layer layer = whole.layers[0];
    split.layers = {{.n_head = layer.n_head, .n_kv_head = layer.n_kv_head, .d_ff = 0},
                    {.n_head = 0, .n_kv_head = 0, .d_ff = 0},
                    {.n_head = 0, .n_kv_head = 0, .d_ff = layer.d_ff}};
    validate(split);
    for (const std::string_view name : analytic_names()) {
      if (name == "depth_weighted") continue;  // depends on where a layer is
      EXPECT_EQ(analytic(name)(split, three), analytic(name)(whole, three)) << name;
    }
    split.layers.pop_back();
    EXPECT_EQ(count_parameters(split).feed_forward, 0);
    EXPECT_EQ(kv_cache_bytes(split, three), kv_cache_bytes(whole, three));
    EXPECT_TRUE(std::isfinite(analytic("geometric")(split, three)));
    split.layers = {{.n_head = 0, .n_kv_head = 0, .d_ff = layer.d_ff}};
    EXPECT_EQ(count_parameters(split).attention, 0);
    EXPECT_EQ(kv_cache_bytes(split, three), 0);
    EXPECT_TRUE(std::isfinite(analytic("geometric")(split, three)));
  }
}

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

TEST(Cost, PrecisionsByHand) {
  const Architecture a = small_gpt2();
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::float32}), 976);
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::float16}), 488);
  // In float32: 16 biases of the attention, 12 of the feed-forward network, 24 of norms, 24 of positions. Matrices:
  // four 4x4, one 4x8, one 8x4, with a scale for each output; the table of 10x4 twice, with a scale for each row.
  constexpr std::int64_t others = 4 * (16 + 12 + 24 + 24);
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int8}), others + 4 * (16 + 16) + (32 + 32) + (32 + 16) + (80 + 40));
  // A block of 32 numbers, 16 bytes and a scale, for each output and row: all have fewer inputs than that.
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int4}), others + 20 * (4 * 4 + 8 + 4 + 10));
  EXPECT_EQ(kv_cache_bytes(a, {.n_prompt = 3, .activations = Precision::int4}), 12);
}

TEST(Cost, TheOutputOfItsOwnIsAMatrix) {
  const Architecture a = small_llama();
  // Queries and output 8x8, keys and values 8x4, gate and up 8x6, down 6x8, embedding 10 rows of 8, head 8x10.
  constexpr std::int64_t norms = 4 * 3 * 8;
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int8}),
            norms + 2 * (64 + 32) + 2 * (32 + 16) + 2 * (48 + 24) + (48 + 32) + 2 * (80 + 40));
  EXPECT_EQ(weight_bytes(a, {.weights = Precision::int4}), norms + 20 * (2 * 8 + 2 * 4 + 2 * 6 + 8 + 2 * 10));
}

TEST(Cost, QuantizedWeightsTakeTheBytesOfTheirTensors) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const Architecture a = any_decoder(random);
    validate(a);
    for (const Precision p : {Precision::int8, Precision::int4}) {
      ASSERT_EQ(weight_bytes(a, {.weights = p}), exported_bytes(a, p)) << i;
    }
    ASSERT_EQ(weight_bytes(a, {.weights = Precision::float16}), 2 * total_params(a));
  }
}

TEST(Cost, TheLastLogitsSaveTheOutputOfTheOtherPositions) {
  Random random(4);
  for (int i = 0; i < 1000; ++i) {
    const Architecture a = any_decoder(random);
    const Workload all{.batch = 1 + static_cast<std::int64_t>(random.below(3)),
                       .n_prompt = 1 + static_cast<std::int64_t>(random.below(16))};
    Workload last = all;
    last.logits = Logits::last;
    const std::int64_t saved = 2 * all.batch * (all.n_prompt - 1) * output_of_a_position(a);
    ASSERT_EQ(flops_prefill(a, last), flops_prefill(a, all) - static_cast<double>(saved)) << i;
    ASSERT_GT(flops_prefill(a, last), 0);
    ASSERT_EQ(flops_decode(a, last), flops_decode(a, all));
    ASSERT_EQ(weight_bytes(a, last), weight_bytes(a, all));
    ASSERT_EQ(kv_cache_bytes(a, last), kv_cache_bytes(a, all));
    ASSERT_LE(peak_memory_bytes(a, last), peak_memory_bytes(a, all));
    ASSERT_EQ(flops_prefill(a, last) == flops_prefill(a, all), all.n_prompt == 1);
  }
}

TEST(Cost, ThePeakWithTheLastLogitsOnly) {
  Architecture a = small_gpt2();
  a.vocab_size = 1000;
  const std::int64_t held = 4 * total_params(a) + 2 * 96;
  const Workload all{.batch = 2, .n_prompt = 3};
  const Workload last{.batch = 2, .n_prompt = 3, .logits = Logits::last};
  EXPECT_EQ(peak_memory_bytes(a, all), held + 4 * 6 * (1000 + 4));
  EXPECT_EQ(peak_memory_bytes(a, last), held + 4 * (2 * 1000 + 6 * 4));
  a.vocab_size = 10;  // the layer needs more than any logits
  EXPECT_EQ(peak_memory_bytes(a, last), peak_memory_bytes(a, all));
}

TEST(Cost, LogitsNames) {
  EXPECT_EQ(logits("all"), Logits::all);
  EXPECT_EQ(logits("last"), Logits::last);
  EXPECT_EQ(oracle::message_of([] { (void)logits("first"); }), "unknown logits 'first'; expected all or last");
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
    const std::vector<Precision> precisions{Precision::float32, Precision::float16, Precision::int8, Precision::int4};
    const Workload workload{.batch = 1 + static_cast<std::int64_t>(random.below(4)),
                            .n_prompt = 1 + static_cast<std::int64_t>(random.below(100)),
                            .weights = precisions[random.below(4)],
                            .logits = random.below(2) == 0 ? Logits::all : Logits::last};
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
  for (Architecture a : {small_gpt2(), small_transformer_xl(), small_llama(), small_adaptive()}) {
    a.d_model = 64;  // a scale for at least 32 numbers
    a.layers[0].d_ff = 256;
    if (a.d_embed == 2) a.d_embed = 64;
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
