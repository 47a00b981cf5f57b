#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "architecture_fixture.hpp"
#include "loss_table_fixture.hpp"
#include "lts/cost.hpp"
#include "lts/importance.hpp"
#include "lts/json.hpp"
#include "lts/search.hpp"
#include "message.hpp"

namespace lts {
namespace {

using oracle::message_of;

/// One layer, which may lose a head or half of its width.
LossTable::State small() {
  return {.attention = {{0, 2, 2, 0.0, 0.0}, {0, 1, 1, 0.5, 0.04}},
          .feed_forward = {{0, 8, 0.0, 0.0}, {0, 4, 0.25, 0.05}}};
}

Architecture small_network(std::int64_t n_head, std::int64_t d_ff) {
  return fixture::architecture_of("gpt2", 10, 6, 4, {{.n_head = n_head, .n_kv_head = n_head, .d_ff = d_ff}});
}

TEST(LossTable, ByHand) {
  const LossTable table(small());
  EXPECT_EQ(table.n_layer(), 1);
  EXPECT_EQ(table.predict(small_network(2, 8)), 0);
  EXPECT_EQ(table.predict(small_network(1, 8)), 0.5);
  EXPECT_EQ(table.predict(small_network(2, 4)), 0.25);
  EXPECT_EQ(table.predict(small_network(1, 4)), 0.75);
  // A normal variable is within 1.6449 deviations with probability 0.9; variances add.
  const Prediction p = table.interval(small_network(1, 4));
  EXPECT_EQ(p.value, 0.75);
  EXPECT_NEAR(p.high - p.value, 1.6449 * 0.3, 0.002);
  EXPECT_NEAR(p.value - p.low, 1.6449 * 0.3, 0.002);
  const Prediction nothing = table.interval(small_network(2, 8));
  EXPECT_EQ(nothing.low, 0);
  EXPECT_EQ(nothing.high, 0);
}

TEST(LossTable, PredictsTheSumOfItsRows) {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    const fixture::Pruned p(random, 1 + random.below(30));
    const LossTable table(p.table);
    const Architecture a = SearchSpace(p.space).sample(random);
    double expected = 0;
    for (std::size_t l = 0; l < a.layers.size(); ++l) expected += p.loss_of(l, a.layers[l]);
    ASSERT_NEAR(table.predict(a), expected, 1e-12 * expected);
    ASSERT_EQ(table.interval(a).value, table.predict(a));
  }
}

TEST(LossTable, RowsComeInAnyOrder) {
  Random random(2);
  const fixture::Pruned p(random, 4);
  LossTable::State shuffled = p.table;
  std::reverse(shuffled.attention.begin(), shuffled.attention.end());
  std::reverse(shuffled.feed_forward.begin(), shuffled.feed_forward.end());
  EXPECT_EQ(LossTable(shuffled).state(), LossTable(p.table).state());
  EXPECT_EQ(to_json(LossTable(shuffled).state()), to_json(LossTable(p.table).state()));
}

/// Sub-networks of a table and their sums.
struct Samples {
  std::vector<Architecture> architectures;
  std::vector<double> attention;
  std::vector<double> feed_forward;

  Samples(const fixture::Pruned& p, const SearchSpace& space, Random& random, int n) {
    for (int i = 0; i < n; ++i) {
      const Architecture a = space.sample(random);
      attention.push_back(0);
      feed_forward.push_back(0);
      for (std::size_t l = 0; l < a.layers.size(); ++l) {
        attention.back() += p.attention_of(l, a.layers[l]);
        feed_forward.back() += p.feed_forward_of(l, a.layers[l]);
      }
      architectures.push_back(a);
    }
  }
};

TEST(LossTable, RefitFindsTheScales) {
  Random random(3);
  const fixture::Pruned p(random, 12);
  const SearchSpace space(p.space);
  const Samples s(p, space, random, 20);
  std::vector<double> losses;
  for (std::size_t i = 0; i < 20; ++i) losses.push_back(1.75 * s.attention[i] + 0.5 * s.feed_forward[i]);
  const LossTable fitted = LossTable(p.table).refit(s.architectures, losses);
  const LossTable::Fit& fit = fitted.state().fit;
  EXPECT_EQ(fit.n_samples, 20U);
  EXPECT_NEAR(fit.attention_scale, 1.75, 1e-9);
  EXPECT_NEAR(fit.feed_forward_scale, 0.5, 1e-9);
  EXPECT_NEAR(fit.error, 0, 1e-12);
  EXPECT_NEAR(fitted.predict(s.architectures[0]), losses[0], 1e-9 * losses[0]);
  // Each part says its share.
  const Layer& layer = s.architectures[0].layers[3];
  EXPECT_NEAR(fitted.attention_loss(3, layer.n_head, layer.n_kv_head), 1.75 * p.attention_of(3, layer), 1e-9);
  EXPECT_NEAR(fitted.feed_forward_loss(3, layer.d_ff), 0.5 * p.feed_forward_of(3, layer), 1e-9);
}

/// Solves the normal equations of least squares in the scales, the long way; `deviations` divide the errors.
std::pair<double, double> least_squares(const Samples& s, const std::vector<double>& losses,
                                        const std::vector<double>& deviations) {
  double aa = 0, af = 0, ff = 0, ay = 0, fy = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const double a = s.attention[i] / deviations[i];
    const double f = s.feed_forward[i] / deviations[i];
    const double y = losses[i] / deviations[i];
    aa += a * a;
    af += a * f;
    ff += f * f;
    ay += a * y;
    fy += f * y;
  }
  const double determinant = aa * ff - af * af;
  return {(ff * ay - af * fy) / determinant, (aa * fy - af * ay) / determinant};
}

LossTable::State without_variances(LossTable::State state) {
  for (auto& row : state.attention) row.variance = 0;
  for (auto& row : state.feed_forward) row.variance = 0;
  return state;
}

double normal(Random& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += random.uniform();
  return sum;
}

TEST(LossTable, RefitIsLeastSquares) {
  Random random(4);
  for (int trial = 0; trial < 200; ++trial) {
    const fixture::Pruned p(random, 6);
    const SearchSpace space(p.space);
    const Samples s(p, space, random, 3 + static_cast<int>(random.below(30)));
    std::vector<double> losses;
    for (std::size_t i = 0; i < s.architectures.size(); ++i) {
      losses.push_back((1.2 * s.attention[i] + 0.8 * s.feed_forward[i]) * (1 + 0.05 * normal(random)));
    }
    for (const bool relative : {true, false}) {
      std::vector<double> deviations;
      for (std::size_t i = 0; i < losses.size(); ++i) {
        double variance = 0;
        for (std::size_t l = 0; l < s.architectures[i].layers.size(); ++l) {
          const Layer& layer = s.architectures[i].layers[l];
          variance += std::pow(p.attention_of(l, layer), 2) + std::pow(p.feed_forward_of(l, layer), 2);
        }
        deviations.push_back(relative ? s.attention[i] + s.feed_forward[i] : std::sqrt(variance / 100));
      }
      const LossTable table(relative ? without_variances(p.table) : p.table);
      const LossTable::Fit fit = table.refit(s.architectures, losses).state().fit;
      const auto [attention, feed_forward] = least_squares(s, losses, deviations);
      if (attention < 0 || feed_forward < 0) continue;  // tried below
      ASSERT_NEAR(fit.attention_scale, attention, 1e-7 * attention);
      ASSERT_NEAR(fit.feed_forward_scale, feed_forward, 1e-7 * feed_forward);
      double squares = 0;
      for (std::size_t i = 0; i < losses.size(); ++i) {
        const double fitted = attention * s.attention[i] + feed_forward * s.feed_forward[i];
        squares += std::pow((losses[i] - fitted) / deviations[i], 2);
      }
      const double error = std::sqrt(squares / (static_cast<double>(losses.size()) - 2));
      ASSERT_NEAR(fit.error, error, 1e-6 * error);
    }
  }
}

TEST(LossTable, ScalesAreNotNegative) {
  // By least squares the attention's scale would be negative: what loses more by it is measured to lose less.
  const LossTable table(without_variances(small()));
  const std::vector<Architecture> architectures{small_network(1, 8), small_network(1, 4), small_network(2, 4)};
  const std::vector<double> losses{-0.1, 0.2, 0.5};
  const LossTable::Fit fit = table.refit(architectures, losses).state().fit;
  EXPECT_EQ(fit.attention_scale, 0);
  // Of the line through 0 at attention alone: shares 0, 1/3, 1 and ratios -0.2, 4/15, 2.
  EXPECT_NEAR(fit.feed_forward_scale, (4.0 / 45 + 2) / (1.0 / 9 + 1), 1e-12);
  const std::vector<double> mirrored{1.0, 0.4, -0.05};
  const LossTable::Fit other = table.refit(architectures, mirrored).state().fit;
  EXPECT_EQ(other.feed_forward_scale, 0);
  EXPECT_NEAR(other.attention_scale, (2.0 / 3 * 0.4 / 0.75 + 2) / (4.0 / 9 + 1), 1e-12);
}

TEST(LossTable, OneScaleWhereTheBalanceIsAlwaysTheSame) {
  const std::vector<Architecture> same(4, small_network(1, 4));
  const LossTable fitted = LossTable(without_variances(small())).refit(same, std::vector<double>{1.4, 1.5, 1.6, 1.5});
  const LossTable::Fit& fit = fitted.state().fit;
  EXPECT_EQ(fit.spread, 0);
  EXPECT_NEAR(fit.attention_scale, 2, 1e-12);
  EXPECT_EQ(fit.attention_scale, fit.feed_forward_scale);
  // Mean and deviation of a sample of four, with Student's t of 3 degrees of freedom, 2.3534.
  const Prediction p = fitted.interval(small_network(1, 4));
  const double deviation = std::sqrt(0.02 / 3);
  EXPECT_NEAR(p.value, 1.5, 1e-12);
  EXPECT_NEAR(p.high - 1.5, 2.3534 * deviation * std::sqrt(1.25), 1e-4);
}

TEST(LossTable, IntervalsHoldTheirLevel) {
  Random random(5);
  for (const bool relative : {true, false}) {  // errors of sums, or of each part by itself
    int inside = 0;
    int n = 0;
    for (int trial = 0; trial < 400; ++trial) {
      const fixture::Pruned p(random, 8);
      const SearchSpace space(p.space);
      const Samples s(p, space, random, 30);
      std::vector<double> losses;
      for (std::size_t i = 0; i < s.architectures.size(); ++i) {
        losses.push_back((0.7 * s.attention[i] + 1.3 * s.feed_forward[i]) * (relative ? 1 + 0.1 * normal(random) : 1));
        const std::vector<Layer>& layers = s.architectures[i].layers;
        for (std::size_t l = 0; l < layers.size() && !relative; ++l) {
          losses.back() += 0.3 * p.attention_of(l, layers[l]) * normal(random);
          losses.back() += 0.3 * p.feed_forward_of(l, layers[l]) * normal(random);
        }
      }
      constexpr std::size_t seen = 20;
      const LossTable fitted = LossTable(relative ? without_variances(p.table) : p.table)
                                   .refit(std::span(s.architectures).first(seen), std::span(losses).first(seen));
      for (std::size_t i = seen; i < losses.size(); ++i) {
        const Prediction interval = fitted.interval(s.architectures[i]);
        ASSERT_LE(interval.low, interval.value);
        ASSERT_LE(interval.value, interval.high);
        inside += interval.low <= losses[i] && losses[i] <= interval.high ? 1 : 0;
        ++n;
      }
    }
    EXPECT_NEAR(static_cast<double>(inside) / n, 0.9, 0.015);
  }
}

TEST(LossTable, LeavesTheOriginalOutOfTheFit) {
  const LossTable table(small());
  const std::vector<Architecture> with{small_network(2, 8), small_network(1, 8), small_network(1, 4),
                                       small_network(2, 4)};
  const std::vector<double> losses{0.01, 0.6, 0.8, 0.2};
  EXPECT_EQ(table.refit(with, losses).state(), table.refit(std::span(with).last(3), std::span(losses).last(3)).state());
}

TEST(LossTable, RoundTripsThroughJson) {
  Random random(6);
  const fixture::Pruned p(random, 5);
  const SearchSpace space(p.space);
  const LossTable plain(p.table);
  EXPECT_EQ(loss_table_from_json(to_json(plain.state())), plain.state());
  const Samples s(p, space, random, 12);
  std::vector<double> losses;
  for (std::size_t i = 0; i < 12; ++i) losses.push_back(s.attention[i] + 2 * s.feed_forward[i] + 0.01);
  const LossTable fitted = plain.refit(s.architectures, losses, 0.8);
  const std::string text = to_json(fitted.state());
  EXPECT_EQ(loss_table_from_json(text), fitted.state());
  const std::size_t begin = text.find("\"weight\"");  // tables that say nothing of it weighed all alike
  const std::string older = text.substr(0, begin) + text.substr(text.find("\"balance\""));
  EXPECT_EQ(loss_table_from_json(older).fit.weight, 12);
  EXPECT_EQ(to_json(LossTable(small()).state()),
            R"({"schema":1,"level":0.9,"attention":[{"layer":0,"n_head":1,"n_kv_head":1,"loss":0.5,"variance":0.04},)"
            R"({"layer":0,"n_head":2,"n_kv_head":2,"loss":0.0,"variance":0.0}],)"
            R"("feed_forward":[{"layer":0,"d_ff":4,"loss":0.25,"variance":0.05},)"
            R"({"layer":0,"d_ff":8,"loss":0.0,"variance":0.0}]})");
  EXPECT_EQ(
      message_of([] { (void)loss_table_from_json(R"({"schema":1,"attention":[{"layer":0}],"feed_forward":[]})"); }),
      "loss table: attention[0].n_head is missing");
}

TEST(LossTable, NamesWhatIsMissing) {
  const LossTable table(small());
  EXPECT_EQ(message_of([&] { (void)table.predict(small_network(4, 8)); }),
            "loss table: attention of layer 0 has no n_head 4, n_kv_head 4");
  EXPECT_EQ(message_of([&] { (void)table.predict(small_network(2, 7)); }),
            "loss table: feed_forward of layer 0 has no d_ff 7");
  Architecture deep = small_network(2, 8);
  deep.layers.push_back(deep.layers.front());
  EXPECT_EQ(message_of([&] { (void)table.predict(deep); }),
            "loss table: the architecture has 2 layers; the table has 1");
  EXPECT_EQ(message_of([&] { (void)table.attention_loss(7, 2, 2); }),
            "loss table: attention of layer 7 has no n_head 2, n_kv_head 2");
}

TEST(LossTable, RefusesWrongTables) {
  const auto refusal = [](const auto& change) {
    return message_of([&] {
      LossTable::State state = small();
      change(state);
      const LossTable table(std::move(state));
    });
  };
  using State = LossTable::State;
  EXPECT_EQ(refusal([](State& s) { s.attention.clear(); }),
            "loss table: attention has no rows for layer 0; every layer needs some");
  EXPECT_EQ(refusal([](State& s) {
              s.feed_forward.push_back({2, 8, 0, 0});
            }),
            "loss table: feed_forward has no rows for layer 1; every layer needs some");
  EXPECT_EQ(refusal([](State& s) {
              s.feed_forward.push_back({1, 8, 0, 0});
            }),
            "loss table: attention has 1 layers, feed_forward 2; they must have as many");
  EXPECT_EQ(refusal([](State& s) {
              s.attention.push_back({0, 2, 2, 0, 0});
            }),
            "loss table: attention of layer 0 has n_head 2, n_kv_head 2 twice; every level may come once");
  EXPECT_EQ(refusal([](State& s) { s.attention[1].loss = -0.5; }),
            "loss table: row 1 of attention: loss is -0.5; it must be finite and not negative");
  EXPECT_EQ(refusal([](State& s) { s.feed_forward[0].variance = std::numeric_limits<double>::infinity(); }),
            "loss table: row 0 of feed_forward: variance is inf; it must be finite and not negative");
  EXPECT_EQ(refusal([](State& s) { s.attention[0].n_kv_head = -1; }),
            "loss table: row 0 of attention: n_kv_head is -1; it must be from 0 to 1048576");
  EXPECT_EQ(refusal([](State& s) { s.feed_forward[0].layer = max_layers; }),
            "loss table: row 0 of feed_forward: layer is 4096; it must be from 0 to 4095");
  EXPECT_EQ(refusal([](State& s) { s.level = 1; }), "loss table: level is 1; it must be from 0.5 to 0.99");
  EXPECT_EQ(refusal([](State& s) { s.fit.n_samples = 2; }),
            "loss table: fit: n_samples is 2; it must be 0, or 3 and more");
  EXPECT_EQ(refusal([](State& s) { s.fit.attention_scale = -1; }),
            "loss table: fit: attention_scale is -1; it must be finite and not negative");
  EXPECT_EQ(refusal([](State& s) { s.fit.n_samples = 3; }), "loss table: fit: weight is 0; it must be above 0");
  EXPECT_EQ(refusal([](State& s) { s.fit.balance = 2; }), "loss table: fit: balance is 2; it must be from -1 to 1");
}

TEST(LossTable, RefusesWrongSamples) {
  const LossTable table(small());
  const std::vector<Architecture> three(3, small_network(1, 4));
  const auto refusal = [&](const std::vector<double>& losses) {
    return message_of([&] { (void)table.refit(three, losses); });
  };
  EXPECT_EQ(refusal({1, 2}), "loss table: 3 architectures have 2 losses; each needs one");
  EXPECT_EQ(refusal({1, 2, std::nan("")}), "loss table: loss 2 is nan; it must be finite");
  EXPECT_EQ(refusal({-3, -3, -3}),
            "loss table: the measured losses are on average -4 of what the table says; it must be above 0");
  EXPECT_EQ(message_of([&] {
              (void)table.refit(std::vector<Architecture>(5, small_network(2, 8)), std::vector<double>(5, 1.0));
            }),
            "loss table: 0 of the samples lose something by the table; at least 3 must");
}

TEST(LossTable, GuidesASearch) {
  Random random(7);
  const fixture::Pruned p(random, 10);
  const LossTable table(p.table);
  Search search(SearchSpace(p.space), {.objectives = {{"predicted_loss"}, {"decoder_params"}}, .seed = 1});
  EXPECT_EQ(search.run(3000,
                       [&](const Architecture& a, std::span<double> values) {
                         values[0] = table.predict(a);
                         values[1] = static_cast<double>(decoder_params(a));
                       }),
            3000U);
  for (const FrontMember& member : search.front()) EXPECT_EQ(member.values[0], table.predict(member.architecture));
}

}  // namespace
}  // namespace lts
