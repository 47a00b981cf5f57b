#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "architecture_fixture.hpp"
#include "lts/analytic.hpp"
#include "lts/layer_costs.hpp"
#include "lts/random.hpp"
#include "lts/search.hpp"
#include "message.hpp"

namespace lts {
namespace {

using oracle::message_of;

/// Amounts in closed form, so that what is looked up can be told.
double attention_of(std::int64_t d, std::int64_t h, std::int64_t k) {
  return 1e-3 * static_cast<double>(d * (h + 3 * k)) + 0.1;
}
double feed_forward_of(std::int64_t d, std::int64_t f) { return 1e-6 * static_cast<double>(d * f) + 0.01; }
double rest_of(std::int64_t d, std::int64_t e, std::int64_t v) {
  return 1e-2 * static_cast<double>(d) + 1e-3 * static_cast<double>(e) + static_cast<double>(v);
}

double expected(const Architecture& a) {
  double sum = 0;
  for (const Layer& layer : a.layers) {
    sum += attention_of(a.d_model, layer.n_head, layer.n_kv_head);
    sum += feed_forward_of(a.d_model, layer.d_ff);
  }
  return sum + rest_of(a.d_model, a.embedding_width(), a.div_val);
}

SearchSpaceOptions llama_space() {
  SearchSpaceOptions options;
  options.family = "llama";
  options.vocab_size = 1000;
  options.n_layer = {1, 2, 3, 5, 8, 16};
  options.d_model = {64, 128, 192, 512, 1'048'576};
  options.n_head = {2, 4, 8};
  options.n_kv_head = {1, 2, 4};
  for (std::int64_t f = 32; f <= 4096; f += 32) options.d_ff.push_back(f);
  options.d_ff.push_back(1'048'576);
  return options;
}

SearchSpaceOptions adaptive_space() {
  SearchSpaceOptions options;
  options.family = "transformer_xl";
  options.vocab_size = 5000;
  options.cutoffs = {1000, 2000};
  options.n_layer = {2, 7};
  options.d_model = {64, 96, 128};
  options.n_head = {2, 3, 4};
  options.d_ff = {100, 101, 103, 257};
  options.d_embed = {-1, 64, 128};
  options.div_val = {1, 2};
  return options;
}

/// Every key that the choices of a space have, in an order of chance.
LayerCosts::Tables tables_of(const SearchSpaceOptions& options) {
  LayerCosts::Tables tables;
  for (const std::int64_t d : options.d_model) {
    for (const std::int64_t h : options.n_head) {
      for (const std::int64_t k : options.n_kv_head.empty() ? std::vector{h} : options.n_kv_head) {
        tables.attention.push_back({d, h, k, attention_of(d, h, k)});
      }
    }
    for (const std::int64_t f : options.d_ff) tables.feed_forward.push_back({d, f, feed_forward_of(d, f)});
    for (const std::int64_t e : options.d_embed) {
      if (e == d && options.d_embed.front() == -1) continue;  // the same as -1
      for (const std::int64_t v : options.div_val) {
        tables.rest.push_back({d, e, v, rest_of(d, e == -1 ? d : e, v)});
      }
    }
  }
  Random random(7);
  const auto shuffle = [&random](auto& rows) {
    for (std::uint32_t i = static_cast<std::uint32_t>(rows.size()); i > 1; --i)
      std::swap(rows[i - 1], rows[random.below(i)]);
  };
  shuffle(tables.attention);
  shuffle(tables.feed_forward);
  shuffle(tables.rest);
  return tables;
}

/// The costs for `fixture::small_gpt2`: d_model 4, one layer with two heads and d_ff 8.
LayerCosts::Tables small() {
  return {.attention = {{4, 2, 2, 1.5}}, .feed_forward = {{4, 8, 0.25}}, .rest = {{4, -1, 1, 10}}};
}

TEST(LayerCosts, ByHand) {
  EXPECT_EQ(LayerCosts(small()).predict(fixture::small_gpt2()), 11.75);
  Architecture two = fixture::small_gpt2();
  two.layers.push_back(two.layers.front());
  EXPECT_EQ(LayerCosts(small()).predict(two), 13.5);
}

TEST(LayerCosts, FindsEveryKey) {
  for (const SearchSpaceOptions& options : {llama_space(), adaptive_space()}) {
    const LayerCosts costs(tables_of(options));
    const SearchSpace space(options);
    Random random(1);
    Architecture a;
    for (int i = 0; i < 5000; ++i) {
      space.sample_choices(random, a);
      ASSERT_EQ(costs.predict(a), expected(a));
    }
  }
}

TEST(LayerCosts, KnowsTheWidthOfTheModelByTwoNames) {
  LayerCosts::Tables tables = small();
  tables.rest = {{4, 4, 1, 3}, {4, 2, 1, 5}};
  Architecture a = fixture::small_gpt2();
  EXPECT_EQ(LayerCosts(tables).predict(a), 4.75);
  a.d_embed = 4;
  EXPECT_EQ(LayerCosts(tables).predict(a), 4.75);
  EXPECT_EQ(LayerCosts(small()).predict(a), 11.75);
  a.d_embed = 2;
  EXPECT_EQ(LayerCosts(tables).predict(a), 6.75);
}

TEST(LayerCosts, AddsAnAnalyticQuantityOfTheWorkload) {
  for (const std::string_view name : analytic_names()) {
    LayerCosts::Tables tables = small();
    tables.plus = name;
    const LayerCosts costs(tables);
    const Architecture a = fixture::small_gpt2();
    const Workload other{.batch = 3, .n_prompt = 5, .weights = Precision::int8, .activations = Precision::float16};
    EXPECT_DOUBLE_EQ(costs.predict(a), 11.75 + analytic(name)(a, {})) << name;
    EXPECT_DOUBLE_EQ(costs.predict(a, other), 11.75 + analytic(name)(a, other)) << name;
  }
  EXPECT_EQ(LayerCosts(small()).predict(fixture::small_gpt2(), {.n_prompt = 99}), 11.75);
}

TEST(LayerCosts, AreAlwaysNumbers) {
  LayerCosts::Tables tables = small();
  tables.attention[0].value = tables.feed_forward[0].value = std::numeric_limits<double>::max();
  EXPECT_EQ(LayerCosts(tables).predict(fixture::small_gpt2()), std::numeric_limits<double>::max());
}

TEST(LayerCosts, AreValues) {
  LayerCosts costs(small());
  const LayerCosts copy = costs;
  costs = LayerCosts({.attention = {{4, 2, 2, 0}}, .feed_forward = {{4, 8, 0}}, .rest = {{4, -1, 1, 0}}});
  EXPECT_EQ(costs.predict(fixture::small_gpt2()), 0);
  EXPECT_EQ(copy.predict(fixture::small_gpt2()), 11.75);
  EXPECT_EQ(copy.tables().attention[0].value, 1.5);
}

TEST(LayerCosts, NameTheKeyThatIsMissing) {
  const LayerCosts costs(small());
  Architecture a = fixture::small_gpt2();
  a.layers.push_back(a.layers.front());
  a.layers[1].n_head = a.layers[1].n_kv_head = 4;
  EXPECT_EQ(message_of([&] { (void)costs.predict(a); }),
            "layer_costs: the table attention has no d_model 4, n_head 4, n_kv_head 4, which layer 1 has");
  a.layers[1] = {.n_head = 2, .n_kv_head = 2, .d_ff = 9};
  EXPECT_EQ(message_of([&] { (void)costs.predict(a); }),
            "layer_costs: the table feed_forward has no d_model 4, d_ff 9, which layer 1 has");
  a.layers.pop_back();
  a.div_val = 2;
  EXPECT_EQ(message_of([&] { (void)costs.predict(a); }),
            "layer_costs: the table rest has no d_model 4, d_embed 4, div_val 2");
  a = fixture::architecture_of("flexibert", 100, 64, 4, {{.n_head = 2, .n_kv_head = 2, .d_ff = 8}});
  EXPECT_EQ(message_of([&] { (void)costs.predict(a); }),
            "layer_costs: family is flexibert, whose layers differ in more than the tables tell");
}

TEST(LayerCosts, WhatALayerLacksCostsNothing) {
  const LayerCosts costs(small());
  Architecture a = fixture::small_gpt2();
  a.layers = {a.layers[0], {.n_head = 0, .n_kv_head = 0, .d_ff = a.layers[0].d_ff}, {0, 0, 0}};
  EXPECT_EQ(costs.predict(a), 12);
  a.layers = {{.n_head = a.layers[0].n_head, .n_kv_head = a.layers[0].n_kv_head, .d_ff = 0}};
  EXPECT_EQ(costs.predict(a), 11.5);
}

// What was never validated is not found, either: not another key's amount.
TEST(LayerCosts, DoNotTakeAWidthOutOfRangeForAnother) {
  constexpr std::int64_t shifted = std::int64_t{1} << 21;
  const LayerCosts costs(small());
  for (const std::int64_t width :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{-8}, shifted, 2 + shifted, 4 + shifted, 8 + shifted,
        std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    Architecture a = fixture::small_gpt2();
    a.layers[0].d_ff = width;
    if (width != 0) {  // which is no feed-forward network
      EXPECT_THROW((void)costs.predict(a), std::invalid_argument) << width;
    }
    a = fixture::small_gpt2();
    a.layers[0].n_kv_head = width;
    EXPECT_THROW((void)costs.predict(a), std::invalid_argument) << width;
    a = fixture::small_gpt2();
    a.d_model = width;
    EXPECT_THROW((void)costs.predict(a), std::invalid_argument) << width;
  }
  Architecture nothing;
  nothing.family = fixture::small_gpt2().family;
  nothing.layers = {{.n_head = 0, .n_kv_head = 0, .d_ff = 0}};
  nothing.div_val = 0;
  EXPECT_THROW((void)costs.predict(nothing), std::invalid_argument);
}

TEST(LayerCosts, RefuseWrongTables) {
  const auto refusal = [](const auto& change) {
    return message_of([&] {
      LayerCosts::Tables tables = small();
      change(tables);
      const LayerCosts costs(std::move(tables));
    });
  };
  using Tables = LayerCosts::Tables;
  EXPECT_EQ(refusal([](Tables& t) { t.attention.clear(); }),
            "layer_costs: the table attention has no rows; it needs at least one");
  EXPECT_EQ(refusal([](Tables& t) { t.feed_forward.clear(); }),
            "layer_costs: the table feed_forward has no rows; it needs at least one");
  EXPECT_EQ(refusal([](Tables& t) { t.rest.clear(); }),
            "layer_costs: the table rest has no rows; it needs at least one");
  EXPECT_EQ(refusal([](Tables& t) {
              t.attention.push_back({4, 2, 2, 7});
            }),
            "layer_costs: row 1 of attention: d_model 4, n_head 2, n_kv_head 2 comes twice; every key may come once");
  EXPECT_EQ(refusal([](Tables& t) {
              t.feed_forward.push_back({4, 8, 0.25});
            }),
            "layer_costs: row 1 of feed_forward: d_model 4, d_ff 8 comes twice; every key may come once");
  EXPECT_EQ(refusal([](Tables& t) {
              t.rest.push_back({4, 4, 1, 0});
            }),
            "layer_costs: row 1 of rest: d_model 4, d_embed 4, div_val 1 comes twice; every key may come once");
  EXPECT_EQ(refusal([](Tables& t) { t.attention[0].value = -0.5; }),
            "layer_costs: row 0 of attention: d_model 4, n_head 2, n_kv_head 2: the amount is -0.5; it must be finite "
            "and not negative");
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    EXPECT_NE(refusal([&](Tables& t) { t.rest[0].value = bad; }), "");
    EXPECT_NE(refusal([&](Tables& t) { t.feed_forward[0].value = bad; }), "");
  }
  EXPECT_EQ(refusal([](Tables& t) { t.attention[0].n_head = 0; }),
            "layer_costs: row 0 of attention: n_head is 0; it must be from 1 to 1048576");
  EXPECT_EQ(refusal([](Tables& t) { t.attention[0].n_kv_head = -1; }),
            "layer_costs: row 0 of attention: n_kv_head is -1; it must be from 1 to 1048576");
  EXPECT_EQ(refusal([](Tables& t) { t.feed_forward[0].d_model = max_width + 1; }),
            "layer_costs: row 0 of feed_forward: d_model is 1048577; it must be from 1 to 1048576");
  EXPECT_EQ(refusal([](Tables& t) { t.feed_forward[0].d_ff = 0; }),
            "layer_costs: row 0 of feed_forward: d_ff is 0; it must be from 1 to 1048576");
  EXPECT_EQ(refusal([](Tables& t) { t.rest[0].d_embed = -2; }),
            "layer_costs: row 0 of rest: d_embed is -2; it must be from 1 to 1048576");
  EXPECT_EQ(refusal([](Tables& t) { t.rest[0].div_val = 0; }),
            "layer_costs: row 0 of rest: div_val is 0; it must be from 1 to 1048576");
  EXPECT_NE(refusal([](Tables& t) { t.plus = "beauty"; }).find("unknown analytic quantity 'beauty'"),
            std::string::npos);
}

// Keys that agree in all but a few bits are still told from each other, however full a run of slots is.
TEST(LayerCosts, HoldManyKeys) {
  LayerCosts::Tables tables = small();
  for (std::int64_t f = 1; f <= 200'000; ++f) {
    if (f != 8) tables.feed_forward.push_back({4, f, static_cast<double>(f)});
  }
  const LayerCosts costs(tables);
  Architecture a = fixture::small_gpt2();
  for (std::int64_t f = 1; f <= 200'001; ++f) {
    a.layers[0].d_ff = f;
    if (f > 200'000) {
      EXPECT_THROW((void)costs.predict(a), std::invalid_argument);
    } else if (f != 8) {
      ASSERT_EQ(costs.predict(a), 11.5 + static_cast<double>(f));
    }
  }
}

TEST(LayerCosts, GuideASearch) {
  const SearchSpaceOptions options = adaptive_space();
  const LayerCosts costs(tables_of(options));
  Search search(SearchSpace(options), {.objectives = {{"decoder_params", Direction::maximize}, {"latency_ms"}}});
  const auto evaluate = [&](const Architecture& a, std::span<double> values) {
    values[0] = static_cast<double>(decoder_params(a));
    values[1] = costs.predict(a);
  };
  EXPECT_EQ(search.run(2000, evaluate), 2000U);
  for (const FrontMember& member : search.front()) EXPECT_EQ(member.values[1], expected(member.architecture));
}

}  // namespace
}  // namespace lts
