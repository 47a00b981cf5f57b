#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "lts/algorithms/nsga2.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::distance;
using fixture::space_of;
using fixture::tiny_space;

struct World : fixture::AlgorithmWorld<Nsga2, Nsga2Options> {
  using AlgorithmWorld::AlgorithmWorld;

  void observe(std::uint64_t id, std::vector<double> values, double violation = 0.0) {
    algorithm.observe(context(), {id, random_genotype(encoding, random), std::move(values), violation});
  }
  /// Ids of the population, best first.
  std::vector<std::uint64_t> survivors() {
    std::vector<std::uint64_t> ids;
    for (const Evaluation& member : algorithm.state().population) ids.push_back(member.id);
    return ids;
  }
};

using Ids = std::vector<std::uint64_t>;

TEST(Nsga2, PopulationThenGenerationsOfItsSize) {
  World world({.population_size = 30});
  for (std::uint64_t i = 0; i < 30; ++i) {
    ASSERT_TRUE(world.propose());
    EXPECT_EQ(world.algorithm.state().n_initial, i + 1);
  }
  for (std::uint64_t id = 0; id < 10; ++id) world.observe(id, {static_cast<double>(id), -static_cast<double>(id)});
  EXPECT_EQ(world.algorithm.state().offspring.size(), 10U);  // told, not yet merged
  for (std::size_t left = 30; left-- > 0;) {
    ASSERT_TRUE(world.propose());
    EXPECT_EQ(world.algorithm.state().children.size(), left);
  }
  EXPECT_TRUE(world.algorithm.state().offspring.empty());
  EXPECT_EQ(world.algorithm.state().population.size(), 10U);
  EXPECT_EQ(world.seen.size(), 60U);
}

TEST(Nsga2, RandomWhileNothingIsTold) {
  World world({.population_size = 5});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(world.propose());
  EXPECT_TRUE(world.algorithm.state().children.empty());
}

TEST(Nsga2, BetterFrontsSurvive) {
  World world({.population_size = 3});
  world.observe(0, {3, 3});
  world.observe(1, {2, 2});
  world.observe(2, {1, 1});
  EXPECT_EQ(world.survivors(), (Ids{2, 1, 0}));
  world.observe(3, {0, 4});
  world.observe(4, {9, 9});
  EXPECT_EQ(world.survivors(), (Ids{2, 1, 0}));  // merged when a generation is complete
  world.observe(5, {4, 0});
  EXPECT_EQ(world.survivors(), (Ids{3, 5, 2}));  // the extremes before the middle
  EXPECT_TRUE(world.algorithm.state().offspring.empty());
}

TEST(Nsga2, TheLessCrowdedSurvive) {
  World world({.population_size = 4});
  world.observe(0, {0, 10});
  world.observe(1, {1, 9});
  world.observe(2, {2, 8});
  world.observe(3, {10, 0});
  world.observe(4, {1.5, 8.5});
  world.observe(5, {6, 4});
  world.observe(6, {1.2, 8.8});
  world.observe(7, {20, 20});
  EXPECT_EQ(world.survivors(), (Ids{0, 3, 5, 2}));
}

TEST(Nsga2, FeasibleBeforeInfeasibleAndLessViolationBeforeMore) {
  World world({.population_size = 4});
  world.observe(0, {0, 0}, 3.0);
  world.observe(1, {9, 9}, 1.0);
  world.observe(2, {50, 50});
  world.observe(3, {60, 60});
  EXPECT_EQ(world.survivors(), (Ids{2, 3, 1, 0}));
  world.observe(4, {0, 0}, 0.5);
  world.observe(5, {70, 70});
  world.observe(6, {0, 0}, 0.4);
  world.observe(7, {0, 0}, 100.0);
  EXPECT_EQ(world.survivors(), (Ids{2, 3, 5, 6}));
}

TEST(Nsga2, EqualViolationsAreOneRank) {
  World world({.population_size = 3});
  world.observe(0, {5, 5}, 2.0);
  world.observe(1, {0, 9}, 1.0);
  world.observe(2, {9, 0}, 1.0);
  EXPECT_EQ(world.survivors(), (Ids{1, 2, 0}));
}

TEST(Nsga2, IgnoresFailures) {
  World world({.population_size = 2});
  world.propose();
  world.propose();
  for (std::uint64_t id = 0; id < 5; ++id) world.observe(id, {});
  EXPECT_TRUE(world.algorithm.state().offspring.empty());
  EXPECT_TRUE(world.algorithm.state().population.empty());
  EXPECT_TRUE(world.propose());
}

TEST(Nsga2, ManyResultsAtOnceStayBounded) {
  World world({.population_size = 10});
  for (std::uint64_t id = 0; id < 5000; ++id) {
    world.observe(id, {world.random.uniform(), world.random.uniform()}, id % 3 == 0 ? world.random.uniform() : 0.0);
    EXPECT_LT(world.algorithm.state().offspring.size(), 10U);
    EXPECT_LE(world.algorithm.state().population.size(), 10U);
  }
}

TEST(Nsga2, ValuesWhoseRangeOverflows) {
  World world({.population_size = 4});
  const double huge = std::numeric_limits<double>::max();
  world.observe(0, {-huge, huge});
  world.observe(1, {0, 0});
  world.observe(2, {huge, -huge});
  world.observe(3, {1, -1});
  EXPECT_EQ(world.survivors().size(), 4U);
}

TEST(Nsga2, MutationAloneChangesOneGene) {
  World world({.population_size = 50, .crossover_probability = 0.0, .mutation_probability = 1e-12});
  for (int i = 0; i < 50; ++i) world.propose();
  for (std::uint64_t id = 0; id < 4; ++id) world.observe(id, {static_cast<double>(id), -static_cast<double>(id)});
  for (int i = 0; i < 50; ++i) {
    const Genotype child = *world.propose();
    std::size_t nearest = child.size();
    for (const Evaluation& parent : world.algorithm.state().population) {
      nearest = std::min(nearest, distance(child, parent.genotype));
    }
    EXPECT_EQ(nearest, 1U);
  }
}

TEST(Nsga2, TournamentsPreferTheBetter) {
  World world({.population_size = 100, .crossover_probability = 0.0, .mutation_probability = 1e-12});
  for (int i = 0; i < 100; ++i) world.propose();
  for (std::uint64_t id = 0; id < 4; ++id) world.observe(id, {static_cast<double>(id), static_cast<double>(id)});
  std::vector<int> children(4);
  for (int i = 0; i < 100; ++i) {
    const Genotype child = *world.propose();
    for (std::size_t p = 0; p < 4; ++p) {
      if (distance(child, world.algorithm.state().population[p].genotype) == 1) ++children[p];
    }
  }
  EXPECT_EQ(world.survivors(), (Ids{0, 1, 2, 3}));
  EXPECT_GT(children[0], children[2]);
  EXPECT_GT(children[1], children[3]);
  EXPECT_GT(children[3], 0);  // both of a tournament can be the last
}

TEST(Nsga2, UsesUpASmallSpace) {
  World world({.population_size = 4}, tiny_space());
  std::set<Genotype> found;
  for (std::uint64_t id = 0;; ++id) {
    const auto genotype = world.propose();
    if (!genotype) break;
    ASSERT_TRUE(found.insert(*genotype).second);
    world.algorithm.observe(world.context(), {id, *genotype, {1.0, 2.0}, 0.0});
  }
  EXPECT_EQ(BigUint(found.size()), world.space.size());
  EXPECT_FALSE(world.propose());
}

TEST(Nsga2, SpaceOfOne) {
  World world({.population_size = 2}, space_of({1}, {16}, {2}, {32}));
  EXPECT_TRUE(world.propose());
  world.observe(0, {1.0, 2.0});
  EXPECT_FALSE(world.propose());
}

TEST(Nsga2, RefusesOptions) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  fixture::expect_refused<Nsga2, Nsga2Options>({
      {{.population_size = 0}, "population_size"},
      {{.population_size = 1}, "population_size"},
      {{.population_size = 1'000'001}, "population_size"},
      {{.crossover_probability = 1.1}, "crossover_probability"},
      {{.crossover_probability = nan}, "crossover"},
      {{.mutation_probability = -1.0}, "mutation_probability"},
      {{.mutation_probability = nan}, "mutation"},
  });
  EXPECT_NO_THROW(Nsga2({.population_size = 2, .crossover_probability = 0.0, .mutation_probability = 1.0}));
}

}  // namespace
}  // namespace lts
