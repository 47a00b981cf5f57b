#include <gtest/gtest.h>

#include <map>
#include <set>

#include "architecture_fixture.hpp"
#include "lts/cost.hpp"
#include "lts/weights.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

using fixture::architecture_of;

std::vector<Weight> weights_of(const Architecture& a) {
  std::vector<Weight> weights;
  visit_weights(a, [&](const Weight& w) { weights.push_back(w); });
  return weights;
}

/// Names and shapes, in order.
std::vector<std::string> listing(const Architecture& a) {
  std::vector<std::string> lines;
  for (const Weight& w : weights_of(a)) {
    lines.push_back(weight_name(w) + " " + std::to_string(w.rows) + "x" + std::to_string(w.cols));
  }
  return lines;
}

Architecture random_architecture(Random& random) {
  for (;;) {
    Architecture a;
    a.family = &oracle::random_decoder(random);
    a.vocab_size = 1 + static_cast<std::int64_t>(random.below(2000));
    a.n_positions = 1 + static_cast<std::int64_t>(random.below(300));
    a.d_model = oracle::pick(random, {8, 12, 30, 48, 64, 96, 100});
    a.head_dim = random.below(6) == 0 ? oracle::pick(random, {2, 10, 16}) : 0;
    const std::uint32_t n_layer = 1 + random.below(6);
    for (std::uint32_t l = 0; l < n_layer; ++l) {
      const std::int64_t n_head = random.below(8) == 0 ? 0 : oracle::pick(random, {1, 2, 3, 4, 6, 7, 8});
      const std::int64_t n_kv_head =
          a.family->name == "llama" && n_head > 0 ? oracle::pick(random, {1, 2, 3, 4}) : n_head;
      const std::int64_t d_ff = random.below(8) == 0 ? 0 : 1 + static_cast<std::int64_t>(random.below(300));
      a.layers.push_back({.n_head = n_head, .n_kv_head = n_kv_head, .d_ff = d_ff});
    }
    if (random.below(3) == 0) a.details.qkv_bias = random.below(2) == 0;
    if (random.below(3) == 0) a.details.attention_output_bias = random.below(2) == 0;
    if (random.below(3) == 0) a.details.feed_forward_bias = random.below(2) == 0;
    a.tie_embedding = random.below(3) != 0;
    if (random.below(2) == 0) {
      a.d_embed = oracle::pick(random, {-1, 8, 16, 20, 64});
      a.div_val = oracle::pick(random, {1, 1, 2, 4});
      if (random.below(2) == 0) a.cutoffs = {10, 100 + static_cast<std::int64_t>(random.below(200)), 800, 3000};
      if (random.below(2) == 0) {
        for (int i = 0; i < 4; ++i) a.tie_projs.push_back(random.below(2) == 0);
      }
    }
    if (oracle::is_valid(a)) return a;
  }
}

TEST(Weights, Gpt2Inventory) {
  Architecture a = fixture::small_gpt2();
  std::vector<std::string> expected{"token_embedding.0.weight 10x4",
                                    "position_embedding.weight 6x4",
                                    "layers.0.attention_norm.scale 1x4",
                                    "layers.0.attention_norm.bias 1x4",
                                    "layers.0.query.weight 4x4",
                                    "layers.0.query.bias 1x4",
                                    "layers.0.key.weight 4x4",
                                    "layers.0.key.bias 1x4",
                                    "layers.0.value.weight 4x4",
                                    "layers.0.value.bias 1x4",
                                    "layers.0.attention_output.weight 4x4",
                                    "layers.0.attention_output.bias 1x4",
                                    "layers.0.feed_forward_norm.scale 1x4",
                                    "layers.0.feed_forward_norm.bias 1x4",
                                    "layers.0.up.weight 4x8",
                                    "layers.0.up.bias 1x8",
                                    "layers.0.down.weight 8x4",
                                    "layers.0.down.bias 1x4",
                                    "final_norm.scale 1x4",
                                    "final_norm.bias 1x4"};
  EXPECT_EQ(listing(a), expected);
  a.tie_embedding = false;
  expected.emplace_back("head.weight 4x10");
  EXPECT_EQ(listing(a), expected);
}

TEST(Weights, LlamaInventory) {
  EXPECT_EQ(listing(fixture::small_llama()),
            (std::vector<std::string>{
                "token_embedding.0.weight 10x8", "layers.0.attention_norm.scale 1x8", "layers.0.query.weight 8x8",
                "layers.0.key.weight 8x4", "layers.0.value.weight 8x4", "layers.0.attention_output.weight 8x8",
                "layers.0.feed_forward_norm.scale 1x8", "layers.0.gate.weight 8x6", "layers.0.up.weight 8x6",
                "layers.0.down.weight 6x8", "final_norm.scale 1x8", "head.weight 8x10"}));
}

TEST(Weights, TransformerXlInventory) {
  // Heads are 3 wide.
  Architecture a = architecture_of("transformer_xl", 20, 6, 10, {{.n_head = 3, .n_kv_head = 3, .d_ff = 8}});
  a.d_embed = 8;
  a.div_val = 2;
  a.cutoffs = {5, 12, 99};
  EXPECT_EQ(listing(a), (std::vector<std::string>{"token_embedding.0.weight 5x8",
                                                  "embedding_projection.0.weight 8x10",
                                                  "token_embedding.1.weight 7x4",
                                                  "embedding_projection.1.weight 4x10",
                                                  "token_embedding.2.weight 8x2",
                                                  "embedding_projection.2.weight 2x10",
                                                  "layers.0.attention_norm.scale 1x10",
                                                  "layers.0.attention_norm.bias 1x10",
                                                  "layers.0.query.weight 10x9",
                                                  "layers.0.key.weight 10x9",
                                                  "layers.0.value.weight 10x9",
                                                  "layers.0.relative_position.weight 10x9",
                                                  "layers.0.content_bias.bias 1x9",
                                                  "layers.0.position_bias.bias 1x9",
                                                  "layers.0.attention_output.weight 9x10",
                                                  "layers.0.feed_forward_norm.scale 1x10",
                                                  "layers.0.feed_forward_norm.bias 1x10",
                                                  "layers.0.up.weight 10x8",
                                                  "layers.0.up.bias 1x8",
                                                  "layers.0.down.weight 8x10",
                                                  "layers.0.down.bias 1x10",
                                                  "head_bias.bias 1x20",
                                                  "cluster.weight 8x2",
                                                  "cluster.bias 1x2",
                                                  "head_projection.0.weight 10x8"}));
}

/// The counts of FlexiBERT's layers that its description gives: width H, feed-forward width F, kernel k, h heads.
std::int64_t flexibert_layer(std::int64_t H, const Layer& l) {
  const std::int64_t half = std::max<std::int64_t>(1, l.n_head / 2);
  const std::int64_t a = half * (H / l.n_head);
  const std::int64_t k = kernel_of(l.mixer);
  const std::int64_t F = l.d_ff;
  std::int64_t sum = (H * H + H) + (H * F + F) + (l.n_ff - 1) * (F * F + F) + (F * H + H) + 4 * H;
  if (l.mixer == Mixer::attention) sum += 3 * (H * H + H);
  if (l.mixer == Mixer::weighted_attention) sum += 3 * (H * H + H) + H * H;
  if (k > 0) sum += 3 * (H * a + a) + (H * k + a * H + a) + (a * half * k + half * k) + (H * a + a);
  return sum;
}

TEST(Weights, FlexibertCounts) {
  for (int m = 0; m < n_mixers; ++m) {
    for (const std::int64_t n_head : {2, 4, 8}) {
      for (const std::int64_t n_ff : {1, 3}) {
        const Layer layer{
            .n_head = n_head, .n_kv_head = n_head, .d_ff = 512, .n_ff = n_ff, .mixer = static_cast<Mixer>(m)};
        const Architecture a = architecture_of("flexibert", 30522, 512, 128, {layer, layer});
        EXPECT_EQ(lts::layer_params(a, layer), flexibert_layer(128, layer)) << mixer_name(layer.mixer) << n_head;
        EXPECT_EQ(decoder_params(a), 2 * flexibert_layer(128, layer));
        EXPECT_EQ(count_parameters(a).softmax, 0);
        EXPECT_EQ(count_parameters(a).embedding, (30522 + 512 + 2 + 2) * 128);
      }
    }
  }
}

TEST(Weights, FlexibertInventory) {
  const Architecture a = architecture_of(
      "flexibert", 9, 5, 8, {{.n_head = 2, .n_kv_head = 2, .d_ff = 3, .n_ff = 2, .mixer = Mixer::convolution_5}});
  EXPECT_EQ(listing(a), (std::vector<std::string>{"token_embedding.0.weight 9x8",
                                                  "position_embedding.weight 5x8",
                                                  "token_type_embedding.weight 2x8",
                                                  "embedding_norm.scale 1x8",
                                                  "embedding_norm.bias 1x8",
                                                  "layers.0.attention_norm.scale 1x8",
                                                  "layers.0.attention_norm.bias 1x8",
                                                  "layers.0.query.weight 8x4",
                                                  "layers.0.query.bias 1x4",
                                                  "layers.0.key.weight 8x4",
                                                  "layers.0.key.bias 1x4",
                                                  "layers.0.value.weight 8x4",
                                                  "layers.0.value.bias 1x4",
                                                  "layers.0.depthwise.weight 5x8",
                                                  "layers.0.pointwise.weight 8x4",
                                                  "layers.0.pointwise.bias 1x4",
                                                  "layers.0.kernel.weight 4x5",
                                                  "layers.0.kernel.bias 1x5",
                                                  "layers.0.convolution.weight 8x4",
                                                  "layers.0.convolution.bias 1x4",
                                                  "layers.0.attention_output.weight 8x8",
                                                  "layers.0.attention_output.bias 1x8",
                                                  "layers.0.feed_forward_norm.scale 1x8",
                                                  "layers.0.feed_forward_norm.bias 1x8",
                                                  "layers.0.up.weight 8x3",
                                                  "layers.0.up.bias 1x3",
                                                  "layers.0.middle.0.weight 3x3",
                                                  "layers.0.middle.0.bias 1x3",
                                                  "layers.0.down.weight 3x8",
                                                  "layers.0.down.bias 1x8"}));
}

TEST(Weights, NamesAreUniqueAndShapesSane) {
  Random random(1);
  for (int i = 0; i < 1'000; ++i) {
    const Architecture a = random_architecture(random);
    std::set<std::string> names;
    std::int32_t layer = -1;
    for (const Weight& w : weights_of(a)) {
      const std::string name = weight_name(w);
      ASSERT_TRUE(names.insert(name).second) << name << " comes twice: " << oracle::describe(a);
      ASSERT_GT(w.rows, 0) << name;
      ASSERT_GT(w.cols, 0) << name;
      ASSERT_EQ(w.size(), w.rows * w.cols);
      if (w.kind == WeightKind::scale || w.kind == WeightKind::bias) {
        ASSERT_EQ(w.rows, 1) << name;
      }
      if (w.layer >= 0) {
        ASSERT_GE(w.layer, layer) << name << ": layers come in order";
        layer = w.layer;
        ASSERT_EQ(part_of(w.role), Part::decoder);
      }
    }
    std::int32_t last = static_cast<std::int32_t>(a.n_layer()) - 1;
    while (a.layers[static_cast<std::size_t>(last)].empty()) --last;
    ASSERT_EQ(layer, last);
  }
}

TEST(Weights, SumsAreTheClosedFormulas) {
  Random random(2);
  std::map<std::string, int> seen;
  for (int i = 0; i < 9'000; ++i) {
    const Architecture a = random_architecture(random);
    ++seen[std::string(a.family->name) + (oracle::is_adaptive(a) ? " adaptive" : "") +
           (a.tie_embedding ? "" : " untied") + (a.div_val > 1 ? " divided" : "")];
    std::map<Part, std::int64_t> parts;
    std::map<Role, std::int64_t> roles;
    for (const Weight& w : weights_of(a)) {
      parts[part_of(w.role)] += w.size();
      roles[w.role] += w.size();
    }
    ASSERT_EQ(parts[Part::decoder], oracle::decoder_params(a)) << a.family->name << " " << oracle::describe(a);
    ASSERT_EQ(parts[Part::embedding], oracle::embedding_params(a)) << a.family->name << " " << oracle::describe(a);
    ASSERT_EQ(parts[Part::softmax], oracle::softmax_params(a)) << a.family->name << " " << oracle::describe(a);

    const ParameterCounts counts = count_parameters(a);
    ASSERT_EQ(counts.decoder, oracle::decoder_params(a));
    ASSERT_EQ(counts.embedding, oracle::embedding_params(a));
    ASSERT_EQ(counts.softmax, oracle::softmax_params(a));
    ASSERT_EQ(counts.total(), oracle::total_params(a));
    for (int r = 0; r < n_roles; ++r) {
      ASSERT_EQ(counts.by_role[static_cast<std::size_t>(r)], roles[static_cast<Role>(r)]);
    }
    ASSERT_EQ(decoder_params(a), oracle::decoder_params(a));
    ASSERT_EQ(total_params(a), oracle::total_params(a));
    std::int64_t norms = 0;
    for (const Role role : {Role::attention_norm, Role::feed_forward_norm, Role::final_norm}) norms += roles[role];
    ASSERT_EQ(counts.attention + counts.feed_forward + norms, counts.decoder);
    for (const Layer& layer : a.layers) ASSERT_EQ(lts::layer_params(a, layer), oracle::layer_params(a, layer));
  }
  for (const char* kind : {"gpt2", "gpt2 untied", "gpt2 adaptive", "gpt2 adaptive divided", "transformer_xl adaptive",
                           "transformer_xl adaptive divided", "llama", "llama untied", "hw_gpt_gated",
                           "hw_gpt_gated_bias", "gpt_neox", "gpt_neox untied"}) {
    EXPECT_GT(seen[kind], 50) << kind;
  }
}

TEST(Weights, PublishedCounts) {
  // GPT-2 small (Radford et al. 2019) as released: 124,439,808 weights, 85,056,000 of them in the decoder.
  EXPECT_EQ(total_params(fixture::gpt2()), 124'439'808);
  EXPECT_EQ(decoder_params(fixture::gpt2()), 85'056'000);

  // Llama 2 7B (Touvron et al. 2023): 6,738,415,616 weights.
  Architecture a = architecture_of("llama", 32000, 4096, 4096,
                                   std::vector<Layer>(32, {.n_head = 32, .n_kv_head = 32, .d_ff = 11008}));
  EXPECT_EQ(total_params(a), 6'738'415'616);

  // Llama 3 8B: grouped queries, 8,030,261,248 weights.
  a.vocab_size = 128256;
  a.layers.assign(32, Layer{.n_head = 32, .n_kv_head = 8, .d_ff = 14336});
  EXPECT_EQ(total_params(a), 8'030'261'248);

  // Qwen 2 0.5B (Yang et al. 2024): biases of queries, keys and values, a tied embedding, 494,032,768 weights.
  a = architecture_of("llama", 151936, 32768, 896,
                      std::vector<Layer>(24, {.n_head = 14, .n_kv_head = 2, .d_ff = 4864}));
  a.tie_embedding = true;
  a.details.qkv_bias = true;
  EXPECT_EQ(total_params(a), 494'032'768);

  // Pythia 70M (Biderman et al. 2023): 70,426,624 weights, 18,915,328 of them not embedding.
  a = architecture_of("gpt_neox", 50304, 2048, 512, std::vector<Layer>(6, {.n_head = 8, .n_kv_head = 8, .d_ff = 2048}));
  EXPECT_EQ(total_params(a), 70'426'624);
  EXPECT_EQ(decoder_params(a), 18'915'328);
}

TEST(Weights, LayersWithoutAttentionOrFeedForwardNetwork) {
  Architecture a = fixture::architecture_of("gpt_neox", 9, 5, 4,
                                            {{.n_head = 2, .n_kv_head = 2, .d_ff = 0},
                                             {.n_head = 0, .n_kv_head = 0, .d_ff = 0},
                                             {.n_head = 0, .n_kv_head = 0, .d_ff = 3}});
  const std::vector<std::string> expected{"token_embedding.0.weight 9x4",
                                          "layers.0.attention_norm.scale 1x4",
                                          "layers.0.attention_norm.bias 1x4",
                                          "layers.0.query.weight 4x4",
                                          "layers.0.query.bias 1x4",
                                          "layers.0.key.weight 4x4",
                                          "layers.0.key.bias 1x4",
                                          "layers.0.value.weight 4x4",
                                          "layers.0.value.bias 1x4",
                                          "layers.0.attention_output.weight 4x4",
                                          "layers.0.attention_output.bias 1x4",
                                          "layers.2.feed_forward_norm.scale 1x4",
                                          "layers.2.feed_forward_norm.bias 1x4",
                                          "layers.2.up.weight 4x3",
                                          "layers.2.up.bias 1x3",
                                          "layers.2.down.weight 3x4",
                                          "layers.2.down.bias 1x4",
                                          "final_norm.scale 1x4",
                                          "final_norm.bias 1x4",
                                          "head.weight 4x9"};
  EXPECT_EQ(listing(a), expected);
  EXPECT_EQ(weights_of(without_empty_layers(a)).size(), expected.size());
}

TEST(Weights, BiasesByPart) {
  const auto biases = [](const Details& details) {
    Architecture a = fixture::small_llama();
    a.details = details;
    std::vector<std::string> names;
    for (const Weight& w : weights_of(a)) {
      if (w.kind == WeightKind::bias) names.push_back(weight_name(w));
    }
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(biases({}), Names{});
  EXPECT_EQ(biases({.qkv_bias = true}), (Names{"layers.0.query.bias", "layers.0.key.bias", "layers.0.value.bias"}));
  EXPECT_EQ(biases({.attention_output_bias = true}), Names{"layers.0.attention_output.bias"});
  EXPECT_EQ(biases({.feed_forward_bias = true}),
            (Names{"layers.0.gate.bias", "layers.0.up.bias", "layers.0.down.bias"}));
}

TEST(Weights, NamesOfRolesPartsAndKinds) {
  std::set<std::string_view> names;
  for (int r = 0; r < n_roles; ++r) {
    const std::string_view name = role_name(static_cast<Role>(r));
    EXPECT_FALSE(name.empty());
    EXPECT_TRUE(names.insert(name).second) << name;
  }
  EXPECT_EQ(role_name(Role::token_embedding), "token_embedding");
  EXPECT_EQ(role_name(Role::relative_position), "relative_position");
  EXPECT_EQ(role_name(Role::head_projection), "head_projection");
  EXPECT_EQ(part_name(Part::embedding), "embedding");
  EXPECT_EQ(part_name(Part::decoder), "decoder");
  EXPECT_EQ(part_name(Part::softmax), "softmax");
  EXPECT_EQ(weight_kind_name(WeightKind::matrix), "matrix");
  EXPECT_EQ(weight_kind_name(WeightKind::table), "table");
  EXPECT_EQ(weight_kind_name(WeightKind::scale), "scale");
  EXPECT_EQ(weight_kind_name(WeightKind::bias), "bias");
  EXPECT_EQ(weight_kind_name(WeightKind::convolution), "convolution");
}

TEST(Weights, RolesHaveTheirParts) {
  for (const Role role :
       {Role::token_embedding, Role::embedding_projection, Role::position_embedding, Role::embedding_norm}) {
    EXPECT_EQ(part_of(role), Part::embedding);
  }
  for (const Role role : {Role::attention_norm, Role::query, Role::position_bias, Role::score, Role::gate, Role::middle,
                          Role::final_norm}) {
    EXPECT_EQ(part_of(role), Part::decoder);
  }
  for (const Role role : {Role::head, Role::head_bias, Role::cluster, Role::head_projection}) {
    EXPECT_EQ(part_of(role), Part::softmax);
  }
  EXPECT_TRUE(is_attention(Role::query) && is_attention(Role::content_bias) && is_attention(Role::attention_output));
  EXPECT_FALSE(is_attention(Role::attention_norm) || is_attention(Role::feed_forward_norm));
  EXPECT_TRUE(is_feed_forward(Role::gate) && is_feed_forward(Role::up) && is_feed_forward(Role::down));
  EXPECT_FALSE(is_feed_forward(Role::feed_forward_norm) || is_feed_forward(Role::final_norm));
}

}  // namespace
}  // namespace lts
