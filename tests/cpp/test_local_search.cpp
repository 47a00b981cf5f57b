#include <gtest/gtest.h>

#include <set>

#include "lts/algorithms/local_search.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::space_of;
using fixture::tiny_space;

struct World : fixture::AlgorithmWorld<LocalSearch, LocalSearchOptions> {
  using AlgorithmWorld::AlgorithmWorld;

  /// As `fixture::World` does, and tells the algorithm.
  void add_to_front(std::uint64_t id) {
    AlgorithmWorld::add_to_front(id);
    const auto x = static_cast<double>(id);
    algorithm.observe(context(), Evaluation{id, front_genotypes.at(id), {x, -x}, 0.0});
  }
};

bool is_step(const Genotype& a, const Genotype& b) { return fixture::n_steps(a, b) == 1; }

TEST(LocalSearch, ExploresTheNeighborhoodsOldestFirst) {
  World world({.n_initial = 7});
  for (std::uint64_t i = 0; i < 7; ++i) {
    ASSERT_TRUE(world.propose());
    EXPECT_EQ(world.algorithm.state().n_initial, i + 1);
  }
  for (const std::uint64_t id : {5U, 2U, 6U}) world.add_to_front(id);
  for (const std::uint64_t id : {2U, 5U, 6U}) {
    const std::size_t n = neighbors(world.encoding, world.front_genotypes.at(id), world.random).size();
    ASSERT_GT(n, 12U);
    std::set<Genotype> found;
    for (std::size_t i = 0; i < n; ++i) {
      const Genotype genotype = *world.propose();
      EXPECT_TRUE(is_step(genotype, world.front_genotypes.at(id))) << "member " << id << ", neighbor " << i;
      EXPECT_TRUE(found.insert(genotype).second);
    }
    EXPECT_TRUE(world.algorithm.state().neighbors.empty());
  }
  EXPECT_TRUE(world.algorithm.state().unexplored.empty());
}

TEST(LocalSearch, RestartsAtRandomWhenAllIsExplored) {
  World world({.n_initial = 1});
  world.propose();
  world.add_to_front(0);
  world.propose();
  while (!world.algorithm.state().neighbors.empty()) world.propose();
  for (int i = 0; i < 5; ++i) {
    const Genotype genotype = *world.propose();
    EXPECT_FALSE(is_step(genotype, world.front_genotypes.at(0)));
    EXPECT_TRUE(world.algorithm.state().neighbors.empty());
  }
  world.add_to_front(9);
  EXPECT_TRUE(is_step(*world.propose(), world.front_genotypes.at(9)));
}

TEST(LocalSearch, PassesOverMembersThatLeft) {
  World world({.n_initial = 1});
  world.propose();
  for (std::uint64_t id = 0; id < 3; ++id) world.add_to_front(id);
  EXPECT_EQ(world.algorithm.state().unexplored.size(), 3U);
  world.front_genotypes.erase(0);
  world.front_genotypes.erase(1);
  EXPECT_TRUE(is_step(*world.propose(), world.front_genotypes.at(2)));
  EXPECT_TRUE(world.algorithm.state().unexplored.empty());
}

TEST(LocalSearch, DominatedResultsAreNotExplored) {
  World world({.n_initial = 1});
  world.propose();
  world.add_to_front(5);
  const Evaluation dominated{4, random_genotype(world.encoding, world.random), {9.0, 9.0}, 0.0};
  world.algorithm.observe(world.context(), dominated);
  EXPECT_EQ(world.algorithm.state().unexplored.size(), 1U);
}

TEST(LocalSearch, StartsFromTheLeastViolatingUntilOneIsFeasible) {
  World world({.n_initial = 1});
  world.propose();
  const auto tell = [&](std::uint64_t id, double violation) {
    const Evaluation evaluation{id, *claim_random(world.context()), {0.0, 0.0}, violation};
    world.algorithm.observe(world.context(), evaluation);
    return evaluation.genotype;
  };
  tell(0, 3.0);
  const Genotype least = tell(1, 1.0);
  tell(2, 1.0);
  tell(3, 2.0);
  world.algorithm.observe(world.context(), Evaluation{4, Genotype(world.encoding.size()), {}, 0.0});  // failed
  ASSERT_EQ(world.algorithm.state().least_violating.size(), 1U);
  EXPECT_EQ(world.algorithm.state().least_violating[0].id, 1U);
  EXPECT_TRUE(is_step(*world.propose(), least));
  while (!world.algorithm.state().neighbors.empty()) world.propose();
  EXPECT_FALSE(is_step(*world.propose(), least));  // explored
  const Genotype better = tell(5, 0.5);
  EXPECT_TRUE(is_step(*world.propose(), better));

  world.add_to_front(6);
  EXPECT_TRUE(world.algorithm.state().least_violating.empty());
}

TEST(LocalSearch, RandomWhileNothingIsTold) {
  World world({.n_initial = 2});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(world.propose());
  EXPECT_TRUE(world.algorithm.state().neighbors.empty());
}

TEST(LocalSearch, UsesUpASmallSpace) {
  World world({.n_initial = 2}, tiny_space());
  world.add_to_front(0);
  std::set<Genotype> found{world.front_genotypes.at(0)};
  while (const auto genotype = world.propose()) ASSERT_TRUE(found.insert(*genotype).second);
  EXPECT_EQ(BigUint(found.size()), world.space.size());
  EXPECT_FALSE(world.propose());
}

TEST(LocalSearch, SpaceOfOne) {
  World world({}, space_of({1}, {16}, {2}, {32}));
  EXPECT_TRUE(world.propose());
  EXPECT_FALSE(world.propose());
}

TEST(LocalSearch, RefusesNoInitial) {
  EXPECT_THROW(LocalSearch({.n_initial = 0}), std::invalid_argument);
  EXPECT_NO_THROW(LocalSearch({.n_initial = 1}));
}

}  // namespace
}  // namespace lts
