#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "loss_table_fixture.hpp"
#include "lts/analytic.hpp"
#include "lts/archive.hpp"
#include "lts/cost.hpp"
#include "lts/knapsack.hpp"
#include "lts/layer_costs.hpp"
#include "message.hpp"

namespace lts {
namespace {

using oracle::message_of;
using Parts = std::vector<std::vector<KnapsackChoice>>;

struct Member {
  std::int64_t cost;
  double loss;
  friend bool operator==(const Member&, const Member&) = default;
};

/// The front of every combination of choices, one by one.
std::vector<Member> by_enumeration(const Parts& parts, std::int64_t max_cost) {
  std::vector<Member> all{{0, 0.0}};
  for (const auto& part : parts) {
    std::vector<Member> longer;
    for (const Member& m : all) {
      for (const KnapsackChoice& c : part) longer.push_back({m.cost + c.cost, m.loss + c.loss});
    }
    all = std::move(longer);
  }
  std::erase_if(all, [max_cost](const Member& m) { return m.cost > max_cost; });
  std::sort(all.begin(), all.end(),
            [](const Member& a, const Member& b) { return a.cost != b.cost ? a.cost < b.cost : a.loss < b.loss; });
  std::vector<Member> front;
  for (const Member& m : all) {
    if (front.empty() || m.loss < front.back().loss) front.push_back(m);
  }
  return front;
}

std::vector<Member> members_of(const Knapsack& knapsack) {
  std::vector<Member> members;
  for (std::size_t i = 0; i < knapsack.costs().size(); ++i) {
    members.push_back({knapsack.costs()[i], knapsack.losses()[i]});
  }
  return members;
}

Parts random_parts(Random& random) {
  Parts parts(1 + random.below(6));
  const std::int64_t unit = std::int64_t{1} << random.below(20);
  for (auto& part : parts) {
    part.resize(1 + random.below(4));
    for (KnapsackChoice& choice : part) {
      choice.cost = unit * (static_cast<std::int64_t>(random.below(40)) - 10) + 3;
      // Some equal, some negative.
      choice.loss = random.below(4) == 0 ? 1.0 : random.uniform() - 0.25;
    }
  }
  return parts;
}

TEST(Knapsack, IsTheFrontOfAllCombinations) {
  Random random(1);
  int n_bounded = 0;
  for (int i = 0; i < 2000; ++i) {
    const Parts parts = random_parts(random);
    std::vector<Member> expected = by_enumeration(parts, std::numeric_limits<std::int64_t>::max());
    std::int64_t bound = std::numeric_limits<std::int64_t>::max();
    if (random.below(2) == 0) {
      ++n_bounded;
      bound = expected[random.below(static_cast<std::uint32_t>(expected.size()))].cost + random.below(3);
      expected = by_enumeration(parts, bound);
    }
    const Knapsack knapsack(parts, bound);
    // Losses are added in the same order, so that they are equal to the last bit.
    ASSERT_EQ(members_of(knapsack), expected) << i;
    for (std::size_t m = 0; m < expected.size(); ++m) {
      const std::vector<std::size_t> choices = knapsack.choices(m);
      Member sum{0, 0.0};
      for (std::size_t p = 0; p < parts.size(); ++p) {
        sum.cost += parts[p][choices[p]].cost;
        sum.loss += parts[p][choices[p]].loss;
      }
      ASSERT_EQ(sum, expected[m]);
    }
  }
  EXPECT_GT(n_bounded, 500);
}

TEST(Knapsack, CostsOfAnySizeWithACommonDivisor) {
  // Millions of parameters, but few sums: of 2^20 and 3 * 2^20 above the cheapest.
  constexpr std::int64_t unit = std::int64_t{1} << 20;
  const Parts parts(200, {{3.0, 7}, {1.0, 7 + unit}, {0.0, 7 + 3 * unit}});
  const Knapsack knapsack(parts);
  EXPECT_EQ(knapsack.costs().front(), 1400);
  EXPECT_EQ(knapsack.costs().back(), 1400 + 600 * unit);
  EXPECT_EQ(knapsack.losses().front(), 600);
  EXPECT_EQ(knapsack.losses().back(), 0);
  EXPECT_EQ(knapsack.losses()[200], 200);  // all have the second choice
}

TEST(Knapsack, OfEqualChoicesTheFirstStays) {
  const Parts parts{{{1.0, 5}, {1.0, 5}, {1.0, 9}}, {{0.0, 2}}};
  const Knapsack knapsack(parts);
  ASSERT_EQ(members_of(knapsack), (std::vector<Member>{{7, 1.0}}));
  EXPECT_EQ(knapsack.choices(0), (std::vector<std::size_t>{0, 0}));
}

TEST(Knapsack, Refuses) {
  const auto refusal = [](const Parts& parts, std::int64_t max_cost = 100) {
    return message_of([&] { const Knapsack knapsack(parts, max_cost); });
  };
  constexpr std::int64_t huge = std::int64_t{1} << 48;
  EXPECT_EQ(refusal({}), "knapsack: there are 0 parts; there must be from 1 to 8192");
  EXPECT_EQ(refusal({{{0, 1}}, {}}), "knapsack: part 1 has 0 choices; it must have from 1 to 65536");
  EXPECT_EQ(refusal({{{0, 60}, {1, 50}}, {{0, 51}}}), "knapsack: max_cost is 100; the cheapest choices cost 101");
  EXPECT_EQ(refusal({{{0, 1}, {std::nan(""), 1}}}),
            "knapsack: part 0, choice 1: loss is nan; it must be finite, up to 1e300");
  EXPECT_EQ(refusal({{{0, huge + 1}}}),
            "knapsack: part 0, choice 0: cost is 281474976710657; it must be from -2^48 to 2^48; use a coarser unit");
  EXPECT_EQ(refusal({{{1, 0}, {0, huge - 1}}, {{1, 0}, {0, huge}}}, huge),
            "knapsack: the costs make more than 2^27 sums over the parts; use a coarser unit");
  const Knapsack one(Parts{{{0, 1}}});
  EXPECT_EQ(message_of([&] { (void)one.choices(1); }), "knapsack: there is no member 1; the front has 1, from 0");
}

double decoder_params_of(const Architecture& a) { return static_cast<double>(decoder_params(a)); }

TEST(KnapsackFront, IsTheFrontOfTheSpace) {
  Random random(2);
  for (int trial = 0; trial < 30; ++trial) {
    const fixture::Pruned p(random, 1 + random.below(3));
    const SearchSpace space(p.space);
    const LossTable table(p.table);
    const KnapsackFront front(space, table, decoder_params_of);
    ParetoArchive archive(2);
    for (std::uint64_t i = 0; BigUint(i) < space.size(); ++i) {
      const Architecture a = space.at(BigUint(i));
      archive.insert(std::vector<double>{decoder_params_of(a), table.predict(a)}, i);
    }
    // Rounding may tell apart sums that are equal; what is compared is what each cost gives at best.
    for (std::size_t i = 0; i < front.costs().size(); ++i) {
      const Architecture a = front.at(i);
      ASSERT_TRUE(space.contains(a));
      ASSERT_EQ(front.costs()[i], decoder_params_of(a));
      ASSERT_NEAR(front.losses()[i], table.predict(a), 1e-12);
      ASSERT_FALSE(archive.covers(std::vector<double>{front.costs()[i] - 0.5, front.losses()[i] - 1e-12}));
      ASSERT_TRUE(archive.covers(std::vector<double>{front.costs()[i], front.losses()[i] + 1e-12}));
    }
    ASSERT_LE(front.costs().size(), archive.size() + 5);
    ASSERT_GE(front.costs().size() + 5, archive.size());
  }
}

TEST(KnapsackFront, IsAtLeastAsGoodAsEverySampledArchitecture) {
  Random random(3);
  std::vector<std::int64_t> widths;
  for (std::int64_t f = 64; f <= 1536; f += 64) widths.push_back(f);
  const fixture::Pruned p(random, 30, widths);
  const SearchSpace space(p.space);
  Architecture sample = space.at(BigUint(0));
  const LossTable measured =
      LossTable(p.table).refit(std::vector<Architecture>(3, sample), std::vector<double>{9, 10, 11});
  const KnapsackFront front(space, measured, decoder_params_of);
  for (int i = 0; i < 20'000; ++i) {
    space.sample(random, sample);
    const auto above = std::upper_bound(front.costs().begin(), front.costs().end(), decoder_params_of(sample));
    ASSERT_NE(above, front.costs().begin());
    const auto best = static_cast<std::size_t>(above - front.costs().begin()) - 1;
    ASSERT_LE(front.losses()[best], measured.predict(sample) + 1e-12);
  }
  // A bound gives the part of the front that keeps it.
  const double bound = front.costs()[front.costs().size() / 2];
  const KnapsackFront bounded(space, measured, decoder_params_of, {.max_cost = bound + 1});
  ASSERT_EQ(bounded.costs().size(), front.costs().size() / 2 + 1);
  EXPECT_EQ(bounded.costs().back(), bound);
  EXPECT_EQ(bounded.losses().back(), front.losses()[bounded.costs().size() - 1]);
  EXPECT_EQ(bounded.at(0), front.at(0));
}

TEST(KnapsackFront, RoundsCostsToUnits) {
  Random random(4);
  const fixture::Pruned p(random, 3);
  const SearchSpace space(p.space);
  LayerCosts::Tables tables{.rest = {{144, -1, 1, 0.125}}};
  for (const Heads& h : p.space.heads) {
    tables.attention.push_back({144, h.n_head, h.n_kv_head, 0.1 + 0.0301 * static_cast<double>(h.n_head)});
  }
  for (const std::int64_t f : p.space.d_ff) tables.feed_forward.push_back({144, f, 0.00171 * static_cast<double>(f)});
  const LayerCosts costs(tables);
  const auto latency = [&costs](const Architecture& a) { return costs.predict(a); };
  const KnapsackFront front(space, LossTable(p.table), latency, {.unit = 1e-3});
  for (std::size_t i = 0; i < front.costs().size(); ++i) {
    ASSERT_NEAR(front.costs()[i], latency(front.at(i)), 0.5e-3 * 6);
    if (i > 0) {
      ASSERT_GT(front.costs()[i], front.costs()[i - 1]);
      ASSERT_LT(front.losses()[i], front.losses()[i - 1]);
    }
  }
}

TEST(KnapsackFront, Refuses) {
  Random random(5);
  const fixture::Pruned p(random, 2);
  const LossTable table(p.table);
  const auto refusal = [&](const auto& change, KnapsackOptions options = {}) {
    return message_of([&] {
      SearchSpaceOptions space = p.space;
      change(space);
      const KnapsackFront front(SearchSpace(space), table, decoder_params_of, options);
    });
  };
  const auto same = [](SearchSpaceOptions&) {};
  EXPECT_EQ(refusal([](SearchSpaceOptions& o) { o.decoder_params.max = 1'000'000; }),
            "knapsack: the space bounds the parameters; leave the bounds out, and give max_cost");
  EXPECT_EQ(refusal([](SearchSpaceOptions& o) { o.shared_d_ff = true; }),
            "knapsack: the space has shared dimensions; every layer must have choices of its own");
  EXPECT_EQ(refusal([](SearchSpaceOptions& o) {
              o.n_layer = {1, 2};
            }),
            "knapsack: the space has more than one d_model, n_layer, d_embed or div_val; it must have one each");
  EXPECT_EQ(refusal([](SearchSpaceOptions& o) {
              o.bias = {{true, false, false}, {}};
            }),
            "knapsack: the space has more than one head_dim or bias; it must have one each");
  EXPECT_EQ(refusal([](SearchSpaceOptions& o) { o.d_ff.push_back(320); }),
            "loss table: feed_forward of layer 0 has no d_ff 320");
  EXPECT_EQ(refusal(same, {.unit = 0}), "knapsack: unit is 0; it must be finite and above 0");
  EXPECT_EQ(refusal(same, {.max_cost = 1000}).substr(0, 57),
            "knapsack: max_cost is 1000; the cheapest architecture cos");
  const SearchSpace space(p.space);
  const std::string message = message_of([&] {
    const KnapsackFront front(space, table, [](const Architecture& a) {
      return static_cast<double>(std::max(a.layers[0].d_ff, a.layers[1].d_ff));
    });
  });
  EXPECT_EQ(message.substr(0, 56), "knapsack: the cost is no sum over the parts of layers: a");
}

}  // namespace
}  // namespace lts
