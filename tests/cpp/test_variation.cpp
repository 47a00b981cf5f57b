#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lts/variation.hpp"
#include "search_fixture.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

/// Every combination is a member: 5 layers, no rule binds.
SearchSpaceOptions free_space() {
  SearchSpaceOptions o;
  o.n_layer = {5};
  o.d_model = {64, 128, 256};
  o.n_head = {1, 2, 4, 8};
  o.d_ff = {64, 128, 192, 256, 320, 384};
  return o;
}

SearchSpaceOptions free_space_of_depths() {
  SearchSpaceOptions o = free_space();
  o.n_layer = {1, 2, 3, 4, 5, 6};
  return o;
}

void expect_member(const SearchSpace& space, const Encoding& encoding, const Genotype& genotype) {
  ASSERT_EQ(genotype.size(), encoding.size());
  const Architecture a = encoding.decode(genotype);
  ASSERT_EQ(space.why_not(a), std::nullopt) << oracle::describe(a);
  ASSERT_EQ(encoding.encode(a), genotype) << "not canonical";
}

std::size_t n_active(const Encoding& encoding, const Genotype& genotype) {
  const auto genes = encoding.genes();
  return static_cast<std::size_t>(std::count_if(
      genes.begin(), genes.end(), [&](const Encoding::Gene& g) { return g.layer < encoding.n_layer(genotype); }));
}

TEST(Variation, ChildrenAreMembers) {
  Random random(1);
  int n_bounded = 0;
  int n_shared = 0;
  for (int i = 0; i < 400; ++i) {
    const oracle::Case c = oracle::random_case(random, 2000);
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    const Encoding encoding(space);
    n_bounded += space.bounded() ? 1 : 0;
    n_shared += c.options.shared_n_head || c.options.shared_n_kv_head || c.options.shared_d_ff ? 1 : 0;
    for (int k = 0; k < 20; ++k) {
      const Genotype a = random_genotype(encoding, random);
      const Genotype b = random_genotype(encoding, random);
      expect_member(space, encoding, a);
      for (const double p : {0.0, 0.3, 1.0}) {
        expect_member(space, encoding, mutate(encoding, a, p, random));
        expect_member(space, encoding, crossover(encoding, a, b, p, random));
      }
      if (HasFatalFailure()) return;
    }
    for (const Genotype& n : neighbors(encoding, random_genotype(encoding, random), random)) {
      expect_member(space, encoding, n);
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(n_bounded, 100);
  EXPECT_GT(n_shared, 100);
}

TEST(Variation, RandomGenotypeIsSampleChoices) {
  const SearchSpace space(free_space_of_depths());
  const Encoding encoding(space);
  Random one(2);
  Random other(2);
  for (int i = 0; i < 100; ++i) {
    Architecture a;
    space.sample_choices(one, a);
    ASSERT_EQ(encoding.decode(random_genotype(encoding, other)), a);
  }
}

// --- Mutation ---

TEST(Mutate, ChangesEveryGeneAtItsRate) {
  const SearchSpace space(free_space());
  const Encoding encoding(space);
  Random random(3);
  const Genotype parent = random_genotype(encoding, random);
  const auto n = static_cast<double>(encoding.size());
  constexpr int draws = 40'000;
  for (const double p : {0.0, 0.05, 0.3, 0.9, 1.0}) {
    // At least one changes: where none would by chance, one of the n, each as likely.
    const double rate = p + std::pow(1 - p, n) / n;
    std::vector<double> changed(encoding.size(), 0.0);
    for (int i = 0; i < draws; ++i) {
      const Genotype child = mutate(encoding, parent, p, random);
      ASSERT_NE(child, parent);
      for (std::size_t g = 0; g < child.size(); ++g) changed[g] += child[g] != parent[g] ? 1 : 0;
    }
    for (std::size_t g = 0; g < changed.size(); ++g) {
      EXPECT_NEAR(changed[g] / draws, rate, 4.5 * std::sqrt(rate * (1 - rate) / draws) + 1e-12) << p << " gene " << g;
    }
  }
}

TEST(Mutate, DrawsEveryOtherChoiceAlike) {
  const SearchSpace space(free_space());
  const Encoding encoding(space);
  Random random(4);
  const Genotype parent = random_genotype(encoding, random);
  std::vector<std::vector<double>> counts;
  for (const Encoding::Gene& gene : encoding.genes()) counts.emplace_back(gene.n_choices, 0.0);
  constexpr int draws = 20'000;
  for (int i = 0; i < draws; ++i) {
    const Genotype child = mutate(encoding, parent, 1.0, random);
    for (std::size_t g = 0; g < child.size(); ++g) ++counts[g][child[g]];
  }
  for (std::size_t g = 0; g < counts.size(); ++g) {
    EXPECT_EQ(counts[g][parent[g]], 0.0);
    counts[g].erase(counts[g].begin() + parent[g]);
    const double expected = draws / static_cast<double>(counts[g].size());
    EXPECT_LT(oracle::chi_square_deviation(counts[g], std::vector<double>(counts[g].size(), expected)), 4.5);
  }
}

TEST(Mutate, NewLayersAreRandomAndOldOnesKept) {
  const SearchSpace space(free_space_of_depths());
  const Encoding encoding(space);
  Random random(5);
  Architecture a = space.at(BigUint());
  const Genotype parent = encoding.encode(a);  // one layer
  ASSERT_EQ(a.n_layer(), 1);
  std::set<std::int64_t> depths;
  std::map<std::int64_t, double> widths;  // of the last of six layers
  double n_deep = 0;
  for (int i = 0; i < 60'000; ++i) {
    const Architecture child = encoding.decode(mutate(encoding, parent, 0.2, random));
    depths.insert(child.n_layer());
    if (child.n_layer() != 6) continue;
    ++n_deep;
    ++widths[child.layers.back().d_ff];
  }
  EXPECT_EQ(depths.size(), 6U);
  std::vector<double> counts;
  counts.reserve(widths.size());
  for (const auto& [width, count] : widths) counts.push_back(count);
  ASSERT_EQ(counts.size(), 6U);
  EXPECT_LT(oracle::chi_square_deviation(counts, std::vector<double>(6, n_deep / 6)), 4.0);

  // Losing layers keeps the others.
  a.layers.assign(6, Layer{.n_head = 4, .n_kv_head = 4, .d_ff = 320});
  const Genotype deep = encoding.encode(a);
  for (int i = 0; i < 5'000; ++i) {
    const Genotype child = mutate(encoding, deep, 0.0, random);
    const Architecture b = encoding.decode(child);
    if (b.n_layer() == 6) continue;
    ASSERT_EQ(b.d_model, a.d_model);
    for (const Layer& layer : b.layers) ASSERT_EQ(layer, a.layers[0]);
  }
}

TEST(Mutate, ASpaceOfOneHasNothingToChange) {
  SearchSpaceOptions o = free_space();
  o.d_model = {64};
  o.n_head = {2};
  o.d_ff = {64};
  const SearchSpace space(o);
  const Encoding encoding(space);
  Random random(6);
  EXPECT_EQ(mutate(encoding, {}, 0.5, random), Genotype{});
  EXPECT_EQ(crossover(encoding, {}, {}, 0.5, random), Genotype{});
  EXPECT_TRUE(neighbors(encoding, {}, random).empty());
}

TEST(Mutate, TightBoundsFallBackToAnyMember) {
  SearchSpaceOptions o = free_space_of_depths();
  // One member's count exactly: nearly every mutant is outside.
  const SearchSpace whole(o);
  Random random(7);
  const std::int64_t n = oracle::decoder_params(whole.sample(random));
  o.decoder_params = {.min = n, .max = n};
  const SearchSpace space(o);
  const Encoding encoding(space);
  const Genotype parent = random_genotype(encoding, random);
  for (int i = 0; i < 50; ++i) {
    expect_member(space, encoding, mutate(encoding, parent, 0.3, random));
    expect_member(space, encoding, crossover(encoding, parent, random_genotype(encoding, random), 0.5, random));
  }
}

// --- Crossover ---

TEST(Crossover, GenesComeFromAParent) {
  const SearchSpace space(free_space_of_depths());
  const Encoding encoding(space);
  Random random(8);
  for (int i = 0; i < 3'000; ++i) {
    const Genotype a = random_genotype(encoding, random);
    const Genotype b = random_genotype(encoding, random);
    const Genotype child = crossover(encoding, a, b, 0.5, random);
    const std::int64_t depth = encoding.n_layer(child);
    ASSERT_TRUE(depth == encoding.n_layer(a) || depth == encoding.n_layer(b));
    for (std::size_t g = 0; g < child.size(); ++g) {
      const std::int64_t layer = encoding.genes()[g].layer;
      if (layer >= depth) {
        ASSERT_EQ(child[g], 0);
        continue;
      }
      const bool from_a = layer < encoding.n_layer(a) && child[g] == a[g];
      const bool from_b = layer < encoding.n_layer(b) && child[g] == b[g];
      ASSERT_TRUE(from_a || from_b) << "gene " << g;
    }
  }
}

TEST(Crossover, TakesFromBWithItsProbability) {
  const SearchSpace space(free_space());
  const Encoding encoding(space);
  Random random(9);
  Genotype a(encoding.size(), 0);
  Genotype b(encoding.size(), 1);
  constexpr int draws = 20'000;
  for (const double p : {0.0, 0.2, 0.5, 1.0}) {
    std::vector<double> from_b(encoding.size(), 0.0);
    for (int i = 0; i < draws; ++i) {
      const Genotype child = crossover(encoding, a, b, p, random);
      for (std::size_t g = 0; g < child.size(); ++g) from_b[g] += child[g];
    }
    for (const double count : from_b) EXPECT_NEAR(count / draws, p, 4.5 * std::sqrt(p * (1 - p) / draws) + 1e-12);
  }
}

TEST(Crossover, OfAGenotypeWithItselfIsItself) {
  Random random(10);
  for (int i = 0; i < 50; ++i) {
    const oracle::Case c = oracle::random_case(random, 1000);
    const SearchSpace space(c.options);
    const Encoding encoding(space);
    const Genotype a = random_genotype(encoding, random);
    ASSERT_EQ(crossover(encoding, a, a, 0.5, random), a) << oracle::describe(c.options);
  }
}

// --- Neighbors ---

TEST(Neighbors, AreOneStepAway) {
  const SearchSpace space(free_space());
  const Encoding encoding(space);
  Random random(11);
  for (int i = 0; i < 200; ++i) {
    const Genotype center = random_genotype(encoding, random);
    std::size_t expected = 0;
    for (std::size_t g = 0; g < center.size(); ++g) {
      expected += center[g] > 0 ? 1U : 0U;
      expected += center[g] + 1 < encoding.genes()[g].n_choices ? 1U : 0U;
    }
    const std::vector<Genotype> all = neighbors(encoding, center, random);
    ASSERT_EQ(all.size(), expected);
    for (const Genotype& n : all) {
      ASSERT_EQ(fixture::n_steps(n, center), 1);
    }
    ASSERT_EQ(std::set<Genotype>(all.begin(), all.end()).size(), all.size());
  }
}

TEST(Neighbors, HaveAllMembersOneStepAwayOnceAndNotTheCenter) {
  Random random(12);
  for (int i = 0; i < 200; ++i) {
    const oracle::Case c = oracle::random_case(random, 2000);
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    const Encoding encoding(space);
    const Genotype center = random_genotype(encoding, random);
    const std::vector<Genotype> all = neighbors(encoding, center, random);
    const std::set<Genotype> found(all.begin(), all.end());
    ASSERT_EQ(found.size(), all.size());
    ASSERT_FALSE(found.contains(center));
    ASSERT_LE(all.size(), 2 * n_active(encoding, center));
    for (const Architecture& a : c.members) {
      const Genotype member = encoding.encode(a);
      if (encoding.n_layer(member) != encoding.n_layer(center)) continue;
      if (fixture::n_steps(member, center) == 1) {
        ASSERT_TRUE(found.contains(member)) << oracle::describe(a);
      }
    }
  }
}

TEST(Neighbors, StepInDepthKeepsTheOtherLayers) {
  const SearchSpace space(free_space_of_depths());
  const Encoding encoding(space);
  Random random(13);
  for (int i = 0; i < 200; ++i) {
    const Genotype center = random_genotype(encoding, random);
    const Architecture a = encoding.decode(center);
    std::multiset<std::int64_t> depths;
    for (const Genotype& n : neighbors(encoding, center, random)) {
      const Architecture b = encoding.decode(n);
      if (b.n_layer() == a.n_layer()) continue;
      depths.insert(b.n_layer());
      ASSERT_EQ(b.d_model, a.d_model);
      const auto common = static_cast<std::ptrdiff_t>(std::min(a.layers.size(), b.layers.size()));
      ASSERT_TRUE(std::equal(a.layers.begin(), a.layers.begin() + common, b.layers.begin()));
    }
    std::multiset<std::int64_t> expected;
    if (a.n_layer() > 1) expected.insert(a.n_layer() - 1);
    if (a.n_layer() < 6) expected.insert(a.n_layer() + 1);
    ASSERT_EQ(depths, expected);
  }
}

TEST(Variation, OneSeedGivesOneSequence) {
  const SearchSpace space(free_space_of_depths());
  const Encoding encoding(space);
  const auto sequence = [&](std::uint64_t seed) {
    Random random(seed);
    std::vector<Genotype> all{random_genotype(encoding, random), random_genotype(encoding, random)};
    for (int i = 0; i < 50; ++i) {
      all.push_back(mutate(encoding, all.back(), 0.3, random));
      all.push_back(crossover(encoding, all.back(), all[all.size() / 2], 0.5, random));
      const std::vector<Genotype> around = neighbors(encoding, all.back(), random);
      all.insert(all.end(), around.begin(), around.end());
    }
    return all;
  };
  EXPECT_EQ(sequence(14), sequence(14));
  EXPECT_NE(sequence(14), sequence(15));
}

}  // namespace
}  // namespace lts
