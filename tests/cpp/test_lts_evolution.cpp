#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "lts/algorithms/lts_evolution.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::distance;
using fixture::tiny_space;

struct World : fixture::AlgorithmWorld<LtsEvolution, LtsEvolutionOptions> {
  using AlgorithmWorld::AlgorithmWorld;

  /// Puts mutually non-dominated random members with ids from 0 on the front.
  void fill_front(std::size_t n) {
    for (std::uint64_t id = 0; id < n; ++id) add_to_front(id);
  }
};

TEST(LtsEvolution, PopulationThenGenerationsOf40And40) {
  World world(LtsEvolutionOptions{});
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(world.propose());
    EXPECT_EQ(world.algorithm.state().n_initial, i + 1);
    EXPECT_TRUE(world.algorithm.state().children.empty());
  }
  world.fill_front(5);
  for (int generation = 0; generation < 3; ++generation) {
    for (std::size_t left = 80; left-- > 0;) {
      ASSERT_TRUE(world.propose());
      EXPECT_EQ(world.algorithm.state().children.size(), left);
    }
  }
  EXPECT_EQ(world.algorithm.state().n_initial, 100U);
  EXPECT_EQ(world.seen.size(), 100U + 5U + 240U);
  std::uint64_t n_uses = 0;
  for (const auto& [id, n] : world.algorithm.state().uses) n_uses += n;
  EXPECT_EQ(n_uses, 3U * 20U);
}

TEST(LtsEvolution, MutantsComeFirstAndStayNearTheFront) {
  World world({.population_size = 1, .n_mutants = 30, .n_crossovers = 30, .mutation_probability = 0.0});
  world.propose();
  world.fill_front(6);
  for (int i = 0; i < 30; ++i) {
    const Genotype child = *world.propose();
    std::size_t nearest = child.size();
    for (const auto& [id, parent] : world.front_genotypes) nearest = std::min(nearest, distance(child, parent));
    EXPECT_EQ(nearest, 1U) << "mutant " << i;  // probability 0: one gene is redrawn
  }
  for (int i = 0; i < 30; ++i) {
    const Genotype child = *world.propose();
    const bool of_two_parents =
        std::any_of(world.front_genotypes.begin(), world.front_genotypes.end(), [&](const auto& a) {
          return std::any_of(world.front_genotypes.begin(), world.front_genotypes.end(), [&](const auto& b) {
            for (std::size_t g = 0; g < child.size(); ++g) {
              if (child[g] != a.second[g] && child[g] != b.second[g]) return false;
            }
            return a.first != b.first;
          });
        });
    EXPECT_TRUE(of_two_parents) << "crossover " << i;
  }
}

TEST(LtsEvolution, MutationRedrawsThreeGenesInTen) {
  World world({.population_size = 1, .n_mutants = 2000, .n_crossovers = 0});
  world.propose();
  world.fill_front(1);
  std::size_t changed = 0;
  for (int i = 0; i < 2000; ++i) changed += distance(*world.propose(), world.front_genotypes.at(0));
  const double rate = static_cast<double>(changed) / (2000.0 * static_cast<double>(world.encoding.size()));
  EXPECT_NEAR(rate, 0.3, 0.08);  // less where a redraw may give the same value
}

TEST(LtsEvolution, CrossoverTakesHalf) {
  World world({.population_size = 1, .n_mutants = 0, .n_crossovers = 2000});
  world.propose();
  world.fill_front(2);
  std::size_t from_first = 0;
  std::size_t differing = distance(world.front_genotypes.at(0), world.front_genotypes.at(1));
  for (int i = 0; i < 2000; ++i) from_first += distance(*world.propose(), world.front_genotypes.at(1));
  EXPECT_NEAR(static_cast<double>(from_first) / (2000.0 * static_cast<double>(differing)), 0.5, 0.02);
}

TEST(LtsEvolution, ParentsAreDrawnInverselyToTheirUses) {
  World world({.population_size = 1, .n_parents = 100'000, .n_mutants = 1, .n_crossovers = 0});
  world.fill_front(4);
  AlgorithmState state;
  state.counter = 1;
  state.uses = {{1, 1}, {2, 3}, {3, 9}};  // 0 was never drawn
  world.algorithm.restore(state);
  world.propose();
  const auto& uses = world.algorithm.state().uses;
  ASSERT_EQ(uses.size(), 4U);
  const std::vector<double> weights{1.0, 1.0 / 2, 1.0 / 4, 1.0 / 10};
  const std::vector<double> before{0, 1, 3, 9};
  double chi_square = 0.0;
  for (std::size_t i = 0; i < 4; ++i) {
    const double expected = 100'000 * weights[i] / 1.85;
    const double drawn = static_cast<double>(uses[i].second) - before[i];
    chi_square += (drawn - expected) * (drawn - expected) / expected;
  }
  EXPECT_LT(chi_square, 16.3);  // 3 degrees of freedom, 0.1 %
}

TEST(LtsEvolution, UsesEvenOut) {
  World world({.population_size = 1});
  world.propose();
  world.fill_front(10);
  for (int i = 0; i < 80 * 300; ++i) ASSERT_TRUE(world.propose());
  const auto& uses = world.algorithm.state().uses;
  ASSERT_EQ(uses.size(), 10U);
  for (const auto& [id, n] : uses) EXPECT_NEAR(static_cast<double>(n), 600.0, 90.0) << "member " << id;
}

TEST(LtsEvolution, ForgetsUsesOfMembersThatLeft) {
  World world({.population_size = 1});
  world.propose();
  world.fill_front(10);
  for (int i = 0; i < 800; ++i) world.propose();
  EXPECT_EQ(world.algorithm.state().uses.size(), 10U);
  for (std::uint64_t id = 0; id < 9; ++id) world.front_genotypes.erase(id);
  world.front.clear();
  world.front.insert(std::vector<double>{9.0, -9.0}, 9);
  for (int i = 0; i < 80; ++i) world.propose();
  ASSERT_EQ(world.algorithm.state().uses.size(), 1U);
  EXPECT_EQ(world.algorithm.state().uses[0].first, 9U);
}

TEST(LtsEvolution, HugeUseCountsAreNoProblem) {
  World world({.population_size = 1});
  world.fill_front(2);
  AlgorithmState state;
  state.counter = 1;
  state.uses = {{0, std::numeric_limits<std::uint64_t>::max()}, {1, std::uint64_t{1} << 40}};
  world.algorithm.restore(state);
  EXPECT_TRUE(world.propose());
}

TEST(LtsEvolution, RandomWhileNothingIsTold) {
  World world({.population_size = 10});
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(world.propose());
  EXPECT_TRUE(world.algorithm.state().children.empty());
  EXPECT_TRUE(world.algorithm.state().uses.empty());
}

TEST(LtsEvolution, LeastViolatingResultsAreParentsUntilOneIsFeasible) {
  World world({.population_size = 1, .n_parents = 3, .mutation_probability = 0.0});
  world.propose();
  const auto tell = [&](std::uint64_t id, double violation) {
    const Evaluation evaluation{id, *claim_random(world.context()), {0.0, 0.0}, violation};
    world.algorithm.observe(world.context(), evaluation);
  };
  for (const auto& [id, violation] : std::vector<std::pair<std::uint64_t, double>>{
           {9, 5.0}, {4, 2.0}, {3, 2.0}, {7, 8.0}, {1, 9.0}, {8, 1.0}, {2, 2.0}}) {
    tell(id, violation);
  }
  world.algorithm.observe(world.context(), Evaluation{5, Genotype(world.encoding.size()), {}, 0.0});  // failed
  const std::vector<Evaluation> least = world.algorithm.state().least_violating;
  ASSERT_EQ(least.size(), 3U);
  EXPECT_EQ(least[0].id, 8U);
  EXPECT_EQ(least[1].id, 2U);
  EXPECT_EQ(least[2].id, 3U);
  for (int i = 0; i < 40; ++i) {
    const Genotype child = *world.propose();
    std::size_t nearest = child.size();
    for (const Evaluation& parent : least) nearest = std::min(nearest, distance(child, parent.genotype));
    EXPECT_EQ(nearest, 1U);
  }
  // A feasible result ends it.
  world.fill_front(1);
  world.algorithm.observe(world.context(), Evaluation{0, world.front_genotypes.at(0), {0.0, 0.0}, 0.0});
  EXPECT_TRUE(world.algorithm.state().least_violating.empty());
  tell(20, 0.5);
  EXPECT_TRUE(world.algorithm.state().least_violating.empty());
}

TEST(LtsEvolution, RandomMembersFillWhatVariationCannot) {
  // One parent: its crossovers are itself.
  World world({.population_size = 1, .n_mutants = 0, .n_crossovers = 50});
  world.propose();
  world.fill_front(1);
  std::set<Genotype> found;
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(found.insert(*world.propose()).second);
}

TEST(LtsEvolution, UsesUpASmallSpace) {
  World world({.population_size = 5}, tiny_space());
  world.fill_front(2);
  const std::uint64_t size = world.space.size().low_uint64();
  std::uint64_t n_proposed = 0;
  while (world.propose()) ++n_proposed;
  EXPECT_EQ(n_proposed, size - 2);
  EXPECT_EQ(world.seen.size(), size);
  EXPECT_FALSE(world.propose());
}

TEST(LtsEvolution, RefusesOptions) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  fixture::expect_refused<LtsEvolution, LtsEvolutionOptions>({
      {{.population_size = 0}, "population_size"},
      {{.population_size = 1'000'001}, "population_size"},
      {{.n_parents = 0}, "n_parents"},
      {{.n_parents = 2'000'000}, "n_parents"},
      {{.n_mutants = 2'000'000}, "n_mutants"},
      {{.n_crossovers = 4'000'000'000}, "n_crossovers"},
      {{.n_mutants = 0, .n_crossovers = 0}, "n_mutants and n_crossovers"},
      {{.mutation_probability = -0.1}, "mutation_probability"},
      {{.mutation_probability = nan}, "mutation_probability"},
      {{.crossover_probability = 1.5}, "crossover_probability"},
  });
  EXPECT_NO_THROW(LtsEvolution({.n_mutants = 0}));
  EXPECT_NO_THROW(LtsEvolution({.n_crossovers = 0, .mutation_probability = 1.0, .crossover_probability = 0.0}));
}

}  // namespace
}  // namespace lts
