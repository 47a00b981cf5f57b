#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "architecture_fixture.hpp"
#include "lts/architecture.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

using Cuts = std::vector<std::int64_t>;

using fixture::gpt2;

Architecture transformer_xl() {
  Architecture a = fixture::architecture_of("transformer_xl", 267735, 192, 410,
                                            std::vector<Layer>(16, {.n_head = 10, .n_kv_head = 10, .d_ff = 2100}));
  a.cutoffs = {20000, 40000, 200000, 300000};
  return a;
}

Architecture llama() {
  return fixture::architecture_of("llama", 32000, 2048, 512,
                                  std::vector<Layer>(8, {.n_head = 8, .n_kv_head = 2, .d_ff = 1536}));
}

std::string rejection(Architecture a, const std::function<void(Architecture&)>& change) {
  change(a);
  return oracle::message_of([&] { validate(a); });
}

TEST(Architecture, MixedLayers) {
  const Architecture flexibert = fixture::architecture_of(
      "flexibert", 100, 16, 128, {{.n_head = 2, .n_kv_head = 2, .d_ff = 64, .n_ff = 3, .mixer = Mixer::fourier}});
  EXPECT_EQ(rejection(flexibert, [](Architecture&) {}), "");
  EXPECT_EQ(rejection(flexibert, [](Architecture& a) { a.layers[0].n_ff = 0; }),
            "n_ff of layer 0 is 0; it must be from 1 to 64");
  EXPECT_EQ(rejection(flexibert,
                      [](Architecture& a) {
                        a.layers[0] = {.n_head = 1, .n_kv_head = 1, .d_ff = 64, .mixer = Mixer::convolution_9};
                      }),
            "n_head of layer 0 is 1; convolution_9 has half the heads, so it must be even");
  EXPECT_EQ(rejection(flexibert, [](Architecture& a) { a.head_dim = 8; }),
            "head_dim is 8; heads of flexibert are d_model / n_head wide: leave it at 0");
  EXPECT_EQ(rejection(flexibert, [](Architecture& a) { a.tie_embedding = false; }),
            "tie_embedding is false; flexibert has no output layer");
  EXPECT_EQ(rejection(flexibert, [](Architecture& a) { a.family = &family("flexibert_official"); }),
            "d_model is 128; flexibert_official has no other than 256");
  EXPECT_EQ(rejection(flexibert,
                      [](Architecture& a) {
                        a.family = &family("flexibert_official");
                        a.d_model = 256;
                      }),
            "d_ff of layer 0 is 64; flexibert_official has no other than 1024");
  EXPECT_EQ(rejection(flexibert, [](Architecture& a) { a.family = &family("gpt2"); }),
            "n_ff of layer 0 is 3; every layer of gpt2 has attention and one hidden feed-forward layer");
  EXPECT_EQ(rejection(flexibert,
                      [](Architecture& a) {
                        a.family = &family("gpt2");
                        a.layers[0].n_ff = 1;
                      }),
            "mixer of layer 0 is fourier; every layer of gpt2 has attention and one hidden feed-forward layer");
}

TEST(Architecture, DerivedValues) {
  Architecture a = gpt2();
  EXPECT_EQ(a.n_layer(), 12);
  EXPECT_EQ(a.embedding_width(), 768);
  EXPECT_EQ(a.width_of_head(a.layers[0]), 64);
  EXPECT_FALSE(a.adaptive());
  EXPECT_TRUE(a.uniform());
  a.d_embed = 128;
  EXPECT_EQ(a.embedding_width(), 128);
  EXPECT_TRUE(a.adaptive());
  a.d_embed = 768;
  EXPECT_FALSE(a.adaptive());
  a.div_val = 2;
  EXPECT_TRUE(a.adaptive());
  a.div_val = 1;
  a.cutoffs = {1000};
  EXPECT_TRUE(a.adaptive());
  a.head_dim = 100;
  EXPECT_EQ(a.width_of_head(a.layers[0]), 100);
  a.layers[5].d_ff = 1;
  EXPECT_FALSE(a.uniform());
  EXPECT_TRUE(transformer_xl().adaptive());
  EXPECT_EQ(transformer_xl().width_of_head(Layer{.n_head = 12, .n_kv_head = 12, .d_ff = 1}), 34);
  EXPECT_TRUE(Architecture{}.uniform());
}

TEST(Architecture, EqualityIsOfAllFields) {
  const Architecture a = transformer_xl();
  EXPECT_EQ(a, transformer_xl());
  const std::vector<std::function<void(Architecture&)>> changes{[](Architecture& x) { x.family = &family("gpt2"); },
                                                                [](Architecture& x) { ++x.vocab_size; },
                                                                [](Architecture& x) { ++x.n_positions; },
                                                                [](Architecture& x) { ++x.d_model; },
                                                                [](Architecture& x) { ++x.head_dim; },
                                                                [](Architecture& x) { x.layers.pop_back(); },
                                                                [](Architecture& x) { ++x.layers[3].n_head; },
                                                                [](Architecture& x) { ++x.layers[3].n_kv_head; },
                                                                [](Architecture& x) { ++x.layers[3].d_ff; },
                                                                [](Architecture& x) { x.d_embed = 5; },
                                                                [](Architecture& x) { ++x.div_val; },
                                                                [](Architecture& x) { x.cutoffs.pop_back(); },
                                                                [](Architecture& x) { x.tie_projs = {true}; },
                                                                [](Architecture& x) { x.tie_embedding = false; }};
  for (const auto& change : changes) {
    Architecture b = a;
    change(b);
    EXPECT_NE(a, b);
  }
}

TEST(Architecture, EqualityIsOfWhatTheDetailsSay) {
  const std::vector<std::function<void(Details&)>> changes{
      [](Details& d) { d.rotary_theta = 1e5; },
      [](Details& d) { d.norm_epsilon = 1e-6; },
      [](Details& d) { d.rotary_dim = 2; },
      [](Details& d) { d.rotary_scaling.emplace(); },
      [](Details& d) { d.qkv_bias = true; },
      [](Details& d) { d.attention_output_bias = true; },
      [](Details& d) { d.feed_forward_bias = true; },
      [](Details& d) { d.rotary_scaling = {.factor = 2}; },
      [](Details& d) { d.rotary_scaling = {.low_freq_factor = 2}; },
      [](Details& d) { d.rotary_scaling = {.high_freq_factor = 8}; },
      [](Details& d) { d.rotary_scaling = {.original_positions = 16}; }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Architecture a = llama();
    changes[i](a.details);
    EXPECT_NO_THROW(validate(a));
    EXPECT_NE(a, llama());
    EXPECT_EQ(differences(a.details, *a.family), a.details);
    for (std::size_t j = 0; j < i; ++j) {
      Architecture b = llama();
      changes[j](b.details);
      EXPECT_NE(a, b);
    }
  }
  Architecture a = llama();
  a.details = {.rotary_theta = 10000.0,
               .norm_epsilon = 1e-5,
               .qkv_bias = false,
               .attention_output_bias = false,
               .feed_forward_bias = false};
  EXPECT_EQ(a, llama());
  EXPECT_EQ(differences(a.details, *a.family), Details{});
  EXPECT_EQ(Architecture{}, Architecture{});
}

TEST(Architecture, DetailsOrTheFamilyS) {
  Architecture a = gpt2();
  EXPECT_TRUE(a.qkv_bias() && a.attention_output_bias() && a.feed_forward_bias());
  EXPECT_EQ(a.norm_epsilon(), 1e-5);
  a.details.qkv_bias = false;
  EXPECT_FALSE(a.qkv_bias());
  EXPECT_TRUE(a.attention_output_bias() && a.feed_forward_bias());
  a = llama();
  EXPECT_EQ(a.rotary_theta(), 10000.0);
  a.details = {.rotary_theta = 5e5, .norm_epsilon = 1e-6, .feed_forward_bias = true};
  EXPECT_EQ(a.rotary_theta(), 5e5);
  EXPECT_EQ(a.norm_epsilon(), 1e-6);
  EXPECT_TRUE(a.feed_forward_bias());
  EXPECT_FALSE(a.qkv_bias() || a.attention_output_bias());
}

TEST(Architecture, LayersWithoutAnything) {
  Architecture a = gpt2();
  a.layers[2] = {.n_head = 0, .n_kv_head = 0, .d_ff = 0};
  a.layers[5].d_ff = 0;
  a.layers[7] = {.n_head = 0, .n_kv_head = 0, .d_ff = 8};
  EXPECT_NO_THROW(validate(a));
  EXPECT_EQ(a.width_of_head(a.layers[2]), 0);
  const Architecture b = without_empty_layers(a);
  EXPECT_EQ(b.n_layer(), 11);
  EXPECT_EQ(b.layers[4].d_ff, 0);
  EXPECT_EQ(b.layers[6].n_head, 0);
  EXPECT_EQ(without_empty_layers(gpt2()), gpt2());
}

TEST(Architecture, CleanCutoffs) {
  const auto clean = [](Cuts cutoffs, std::int64_t vocab_size) {
    Architecture a;
    a.cutoffs = std::move(cutoffs);
    a.vocab_size = vocab_size;
    return clean_cutoffs(a);
  };
  // The last entry is set to the vocabulary ...
  EXPECT_EQ(clean({}, 100), (Cuts{100}));
  EXPECT_EQ(clean({40}, 100), (Cuts{100}));
  EXPECT_EQ(clean({20000, 40000, 200000}, 267735), (Cuts{20000, 40000, 267735}));
  EXPECT_EQ(clean({20000, 40000, 200000, 267735}, 267735), (Cuts{20000, 40000, 200000, 267735}));
  EXPECT_EQ(clean({10, 20, 100}, 100), (Cuts{10, 20, 100}));
  // ... after truncation at the first entry above it.
  EXPECT_EQ(clean({19997, 39997, 199997}, 50257), (Cuts{19997, 39997, 50257}));
  EXPECT_EQ(clean({10, 20, 200, 300, 400}, 100), (Cuts{10, 20, 100}));
  EXPECT_EQ(clean({200, 300}, 100), (Cuts{100}));
}

TEST(Architecture, Clusters) {
  Architecture a;
  a.vocab_size = 100;
  a.d_model = 64;
  a.d_embed = 32;
  a.div_val = 4;
  a.cutoffs = {10, 40, 200, 300};
  std::vector<std::vector<std::int64_t>> clusters;
  visit_clusters(a, [&clusters](const Cluster& c) {
    clusters.push_back({static_cast<std::int64_t>(c.index), c.begin, c.end, c.width});
  });
  EXPECT_EQ(clusters, (std::vector<std::vector<std::int64_t>>{{0, 0, 10, 32}, {1, 10, 40, 8}, {2, 40, 100, 2}}));
  EXPECT_EQ(n_clusters(a), 3U);
  a.cutoffs.clear();
  EXPECT_EQ(n_clusters(a), 1U);
}

TEST(Architecture, ProjectionTied) {
  Architecture a = transformer_xl();
  EXPECT_FALSE(projection_tied(a, 0));
  EXPECT_TRUE(projection_tied(a, 1));
  EXPECT_TRUE(projection_tied(a, 3));
  a.tie_projs = {true, false, true, false};
  EXPECT_TRUE(projection_tied(a, 0));
  EXPECT_FALSE(projection_tied(a, 1));
  EXPECT_TRUE(projection_tied(a, 2));
  EXPECT_FALSE(projection_tied(a, 3));
  EXPECT_FALSE(projection_tied(a, 4));
}

TEST(Validate, TakesWhatIsRight) {
  for (const Architecture& a : {gpt2(), transformer_xl(), llama()}) EXPECT_NO_THROW(validate(a));
  const auto ok = [](Architecture a, const std::function<void(Architecture&)>& change) {
    return rejection(std::move(a), change).empty();
  };
  EXPECT_TRUE(ok(transformer_xl(), [](Architecture& a) { a.layers[0] = {.n_head = 12, .n_kv_head = 12, .d_ff = 1}; }));
  EXPECT_TRUE(ok(gpt2(), [](Architecture& a) {
    a.head_dim = 64;
    a.layers[0] = {.n_head = 7, .n_kv_head = 7, .d_ff = 64};  // free of d_model
  }));
  EXPECT_TRUE(ok(gpt2(), [](Architecture& a) { a.tie_embedding = false; }));
  EXPECT_TRUE(ok(gpt2(), [](Architecture& a) { a.d_embed = 768; }));
  EXPECT_TRUE(ok(transformer_xl(), [](Architecture& a) { a.tie_projs = {false, true, true, true}; }));
  EXPECT_TRUE(ok(transformer_xl(), [](Architecture& a) { a.div_val = 4; }));
  EXPECT_TRUE(ok(llama(), [](Architecture& a) { a.tie_embedding = true; }));
  EXPECT_TRUE(ok(gpt2(), [](Architecture& a) { a.layers.resize(4096, a.layers[0]); }));
}

struct Rejection {
  Architecture base;
  std::function<void(Architecture&)> change;
  std::string message;
};

TEST(Validate, RejectsWithTheFieldTheValueAndTheRange) {
  const std::vector<Rejection> rejections{
      {gpt2(), [](Architecture& a) { a.family = nullptr; }, "family is not set"},
      {gpt2(), [](Architecture& a) { a.vocab_size = 0; }, "vocab_size is 0; it must be from 1 to 2147483648"},
      {gpt2(), [](Architecture& a) { a.vocab_size = std::int64_t{1} << 40; },
       "vocab_size is 1099511627776; it must be from 1 to 2147483648"},
      {gpt2(), [](Architecture& a) { a.n_positions = -3; }, "n_positions is -3; it must be from 1 to 2147483648"},
      {gpt2(), [](Architecture& a) { a.d_model = 0; }, "d_model is 0; it must be from 1 to 1048576"},
      {gpt2(), [](Architecture& a) { a.d_model = 1048577; }, "d_model is 1048577; it must be from 1 to 1048576"},
      {gpt2(), [](Architecture& a) { a.head_dim = -1; }, "head_dim is -1; it must be from 0 to 1048576"},
      {gpt2(), [](Architecture& a) { a.layers.clear(); }, "n_layer is 0; it must be from 1 to 4096"},
      {gpt2(), [](Architecture& a) { a.layers.resize(4097, a.layers[0]); },
       "n_layer is 4097; it must be from 1 to 4096"},
      {gpt2(), [](Architecture& a) { a.layers[2].n_head = 0; },
       "n_kv_head of layer 2 is 12 and n_head 0; without attention both are 0"},
      {gpt2(), [](Architecture& a) { a.layers[11].d_ff = -1; }, "d_ff of layer 11 is -1; it must be from 0 to 1048576"},
      {transformer_xl(), [](Architecture& a) { a.layers[1].d_ff = 0; },
       "d_ff of layer 1 is 0; it must be from 1 to 1048576"},
      {transformer_xl(), [](Architecture& a) { a.layers[1].n_head = 0; },
       "n_head of layer 1 is 0; it must be from 1 to 1048576"},
      {llama(), [](Architecture& a) { a.layers[1].n_kv_head = 0; },
       "n_head of layer 1 is 8 and n_kv_head 0; without attention both are 0"},
      {gpt2(),
       [](Architecture& a) {
         for (Layer& layer : a.layers) layer = {.n_head = 0, .n_kv_head = 0, .d_ff = 0};
       },
       "n_head and d_ff are 0 in every layer; some layer must have attention or a feed-forward network"},
      {gpt2(),
       [](Architecture& a) {
         for (Layer& layer : a.layers) layer = {.n_head = 0, .n_kv_head = 0, .d_ff = 1};
       },
       "head_dim is 0; where no layer has attention it must be given"},
      {llama(), [](Architecture& a) { a.details.rotary_theta = 0.5; },
       "rotary_theta is 0.5; it must be from 1 to 1e12"},
      {llama(), [](Architecture& a) { a.details.rotary_theta = std::nan(""); },
       "rotary_theta is nan; it must be from 1 to 1e12"},
      {llama(), [](Architecture& a) { a.details.norm_epsilon = 0; },
       "norm_epsilon is 0; it must be above 0 and at most 1"},
      {llama(), [](Architecture& a) { a.details.rotary_dim = -2; }, "rotary_dim is -2; it must be from 0 to 1048576"},
      {llama(), [](Architecture& a) { a.details.rotary_dim = 3; }, "rotary_dim is 3; it must be even"},
      {llama(), [](Architecture& a) { a.details.rotary_dim = 512; },
       "rotary_dim is 512; it must be at most the width of heads, 64 in layer 0"},
      {llama(), [](Architecture& a) { a.details.rotary_scaling = {.factor = 0.5}; },
       "factor of rotary_scaling is 0.5; it must be from 1 to 1000000"},
      {llama(), [](Architecture& a) { a.details.rotary_scaling = {.low_freq_factor = 0}; },
       "low_freq_factor of rotary_scaling is 0; it must be above 0 and at most 1000000"},
      {llama(), [](Architecture& a) { a.details.rotary_scaling = {.high_freq_factor = 1}; },
       "high_freq_factor of rotary_scaling is 1; it must be above low_freq_factor and at most 1000000"},
      {llama(), [](Architecture& a) { a.details.rotary_scaling = {.original_positions = 0}; },
       "original_positions of rotary_scaling is 0; it must be from 1 to 2147483648"},
      {gpt2(), [](Architecture& a) { a.details.rotary_theta = 5e5; },
       "rotary_theta: gpt2 has no rotary positions; leave it out"},
      {gpt2(), [](Architecture& a) { a.details.rotary_dim = 2; },
       "rotary_dim: gpt2 has no rotary positions; leave it out"},
      {gpt2(), [](Architecture& a) { a.details.rotary_scaling.emplace(); },
       "rotary_scaling: gpt2 has no rotary positions; leave it out"},
      {transformer_xl(), [](Architecture& a) { a.details.qkv_bias = true; },
       "qkv_bias: the biases of transformer_xl cannot be chosen; leave it out"},
      {transformer_xl(), [](Architecture& a) { a.details.attention_output_bias = true; },
       "attention_output_bias: the biases of transformer_xl cannot be chosen; leave it out"},
      {transformer_xl(), [](Architecture& a) { a.details.feed_forward_bias = false; },
       "feed_forward_bias: the biases of transformer_xl cannot be chosen; leave it out"},
      {gpt2(), [](Architecture& a) { a.layers[1].n_kv_head = -1; },
       "n_kv_head of layer 1 is -1; it must be from 0 to 1048576"},
      {gpt2(), [](Architecture& a) { a.layers[4].n_kv_head = 4; },
       "n_kv_head of layer 4 is 4; gpt2 has no grouped-query attention, so it must equal n_head, 12"},
      {gpt2(), [](Architecture& a) { a.layers[4] = {.n_head = 5, .n_kv_head = 5, .d_ff = 8}; },
       "n_head of layer 4 is 5; it must divide d_model, 768"},
      {transformer_xl(), [](Architecture& a) { a.layers[0] = {.n_head = 411, .n_kv_head = 411, .d_ff = 8}; },
       "n_head of layer 0 is 411; it must be at most d_model, 410"},
      {gpt2(), [](Architecture& a) { a.head_dim = 1048576; },
       "n_head * head_dim of layer 0 is 12582912; it must be from 1 to 1048576"},
      {llama(), [](Architecture& a) { a.layers[3].n_kv_head = 3; },
       "n_kv_head of layer 3 is 3; it must divide n_head, 8"},
      {llama(), [](Architecture& a) { a.layers[3].n_kv_head = 16; },
       "n_kv_head of layer 3 is 16; it must divide n_head, 8"},
      {llama(), [](Architecture& a) { a.layers[7] = {.n_head = 512, .n_kv_head = 512, .d_ff = 8}; },
       "n_head of layer 7 is 512, which makes heads 1 wide; rotary positions need an even width"},
      {llama(), [](Architecture& a) { a.head_dim = 63; },
       "n_head of layer 0 is 8, which makes heads 63 wide; rotary positions need an even width"},
      {llama(), [](Architecture& a) { a.d_embed = 128; },
       "d_embed, div_val and cutoffs: llama has no adaptive embedding; leave them at -1, 1 and none"},
      {llama(), [](Architecture& a) { a.div_val = 2; },
       "d_embed, div_val and cutoffs: llama has no adaptive embedding; leave them at -1, 1 and none"},
      {gpt2(), [](Architecture& a) { a.cutoffs.assign(257, 1); }, "cutoffs has 257 entries; it must have at most 256"},
      {llama(), [](Architecture& a) { a.cutoffs = {100}; },
       "d_embed, div_val and cutoffs: llama has no adaptive embedding; leave them at -1, 1 and none"},
      {gpt2(), [](Architecture& a) { a.d_embed = 0; }, "d_embed is 0; it must be from 1 to 1048576"},
      {gpt2(), [](Architecture& a) { a.d_embed = -2; }, "d_embed is -2; it must be from 1 to 1048576"},
      {gpt2(), [](Architecture& a) { a.div_val = 0; }, "div_val is 0; it must be from 1 to 1048576"},
      {transformer_xl(), [](Architecture& a) { a.tie_embedding = false; },
       "tie_embedding is false; an adaptive embedding is always tied"},
      {transformer_xl(),
       [](Architecture& a) {
         a.cutoffs = {40000, 20000, 200000};
       },
       "cutoffs: 20000 follows 40000; they must be positive, ascending and below vocab_size, 267735"},
      {transformer_xl(),
       [](Architecture& a) {
         a.cutoffs = {0, 200000};
       },
       "cutoffs: 0 follows 0; they must be positive, ascending and below vocab_size, 267735"},
      {transformer_xl(),
       [](Architecture& a) {
         a.cutoffs = {20000, 267735, 300000};
       },
       "cutoffs: 267735 follows 267735; they must be positive, ascending and below vocab_size, 267735"},
      {transformer_xl(), [](Architecture& a) { a.div_val = 8; },
       "div_val is 8; it leaves no width for cluster 3 of an embedding of width 410"},
      {transformer_xl(),
       [](Architecture& a) {
         a.tie_projs = {true, false};
       },
       "tie_projs has 2 entries; it must have one per cluster, 4"},
  };
  for (const Rejection& r : rejections) EXPECT_EQ(rejection(r.base, r.change), r.message);
}

TEST(Validate, AgreesWithTheRulesAsWritten) {
  Random random(1);
  int n_valid = 0;
  for (int i = 0; i < 5'000; ++i) {
    Architecture a;
    a.family = &oracle::random_decoder(random);
    a.vocab_size = oracle::pick(random, {10, 50});
    a.n_positions = 8;
    a.d_model = oracle::pick(random, {2, 6, 8, 12});
    a.head_dim = random.below(4) == 0 ? oracle::pick(random, {1, 2, 3}) : 0;
    for (std::uint32_t l = random.below(2); l < 2; ++l) {
      const std::int64_t n_head = random.below(8) == 0 ? 0 : oracle::pick(random, {1, 2, 3, 4, 6});
      const std::int64_t n_kv_head = random.below(5) == 0 ? oracle::pick(random, {0, 1, 2, 3}) : n_head;
      a.layers.push_back({.n_head = n_head, .n_kv_head = n_kv_head, .d_ff = random.below(8) == 0 ? 0 : 4});
    }
    if (random.below(8) == 0) a.details.rotary_dim = oracle::pick(random, {1, 2, 4});
    if (random.below(8) == 0) a.details.qkv_bias = random.below(2) == 0;
    if (random.below(8) == 0) a.details.feed_forward_bias = random.below(2) == 0;
    a.d_embed = random.below(3) == 0 ? oracle::pick(random, {1, 2, 6, 8}) : -1;
    a.div_val = random.below(3) == 0 ? oracle::pick(random, {2, 4}) : 1;
    if (random.below(3) == 0) a.cutoffs = {4, oracle::pick(random, {3, 6, 10, 20}), 60};
    if (random.below(4) == 0) a.tie_projs.assign(1 + random.below(3), true);
    a.tie_embedding = random.below(4) != 0;
    const bool expected = oracle::is_valid(a);
    n_valid += expected ? 1 : 0;
    ASSERT_EQ(oracle::message_of([&] { validate(a); }).empty(), expected) << oracle::describe(a);
  }
  EXPECT_GT(n_valid, 500);
}

}  // namespace
}  // namespace lts
