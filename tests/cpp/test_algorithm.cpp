#include <gtest/gtest.h>

#include <set>

#include "lts/algorithms/algorithm.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::space_of;
using fixture::space_of_depths;
using fixture::World;

TEST(SeenSet, TellsNewFromKnown) {
  SeenSet seen;
  EXPECT_EQ(seen.size(), 0U);
  EXPECT_FALSE(seen.contains(7));
  EXPECT_TRUE(seen.sorted().empty());
  EXPECT_TRUE(seen.insert(7));
  EXPECT_FALSE(seen.insert(7));
  EXPECT_TRUE(seen.contains(7));
  EXPECT_FALSE(seen.contains(8));
  EXPECT_EQ(seen.size(), 1U);
}

TEST(SeenSet, TakesHashZero) {
  SeenSet seen;
  EXPECT_FALSE(seen.contains(0));
  EXPECT_TRUE(seen.insert(0));
  EXPECT_TRUE(seen.contains(0));
  EXPECT_FALSE(seen.insert(0));
  EXPECT_EQ(seen.sorted(), std::vector<std::uint64_t>{1});
}

TEST(SeenSet, AgreesWithStdSetWhileItGrows) {
  SeenSet seen;
  std::set<std::uint64_t> expected;
  Random random(5);
  for (int i = 0; i < 100'000; ++i) {
    // Few distinct low bits, so that probing wraps around.
    const std::uint64_t hash = (random.next() & 0xFFFF'0000'0000'003FULL) + 1;
    ASSERT_EQ(seen.contains(hash), expected.contains(hash));
    ASSERT_EQ(seen.insert(hash), expected.insert(hash).second);
    ASSERT_EQ(seen.size(), expected.size());
    if (expected.size() == 3000) break;
  }
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t hash = random.next() | 2;
    ASSERT_EQ(seen.insert(hash), expected.insert(hash).second);
  }
  EXPECT_EQ(seen.sorted(), std::vector<std::uint64_t>(expected.begin(), expected.end()));
}

TEST(SearchContext, ClaimsOnce) {
  World world(space_of_depths({2}));
  const Genotype genotype = random_genotype(world.encoding, world.random);
  EXPECT_TRUE(world.context().claim(genotype));
  EXPECT_FALSE(world.context().claim(genotype));
  EXPECT_TRUE(world.seen.contains(hash_of(genotype)));
}

TEST(ClaimRandom, UsesUpASmallSpaceExactly) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    World world(space_of_depths({1, 2, 3}), seed);
    const std::uint64_t size = world.space.size().low_uint64();
    std::set<Genotype> found;
    for (std::uint64_t i = 0; i < size; ++i) {
      const auto genotype = claim_random(world.context());
      ASSERT_TRUE(genotype) << i << " of " << size;
      ASSERT_TRUE(world.space.contains(world.encoding.decode(*genotype)));
      ASSERT_TRUE(found.insert(*genotype).second);
    }
    EXPECT_FALSE(claim_random(world.context()));
    EXPECT_FALSE(claim_random(world.context()));
    EXPECT_EQ(world.seen.size(), size);
  }
}

TEST(ClaimRandom, FindsTheOneThatIsLeft) {
  const SearchSpaceOptions options = space_of_depths({1, 2, 3});
  const SearchSpace space(options);
  const std::uint64_t size = space.size().low_uint64();
  for (const std::uint64_t left : {std::uint64_t{0}, std::uint64_t{777}, size - 1}) {
    World world(options);
    for (std::uint64_t i = 0; i < size; ++i) {
      if (i == left) continue;
      ASSERT_TRUE(world.context().claim(world.encoding.encode(world.space.at(BigUint(i)))));
    }
    const auto genotype = claim_random(world.context());
    ASSERT_TRUE(genotype);
    EXPECT_EQ(*genotype, world.encoding.encode(world.space.at(BigUint(left))));
    EXPECT_FALSE(claim_random(world.context()));
  }
}

TEST(ClaimRandom, SpaceOfOne) {
  World world(space_of({1}, {16}, {1}, {32}));
  const auto genotype = claim_random(world.context());
  ASSERT_TRUE(genotype);
  EXPECT_TRUE(genotype->empty());
  EXPECT_FALSE(claim_random(world.context()));
}

TEST(ClaimRandom, DrawsChoiceByChoice) {
  World world(space_of_depths({1, 8, 16}));
  std::map<std::int64_t, int> depths;
  for (int i = 0; i < 30; ++i) {
    const auto genotype = claim_random(world.context());
    ASSERT_TRUE(genotype);
    ++depths[world.encoding.n_layer(*genotype)];
  }
  EXPECT_EQ(depths.size(), 3U);  // uniform over the members would draw depth 16 alone
}

TEST(ClaimRandom, HugeSpaceBeyondWhatChoicesReach) {
  World world(space_of_depths({12}));
  // Claims what will be drawn choice by choice, then all that will be drawn.
  Random ahead = world.random;
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(world.context().claim(random_genotype(world.encoding, ahead)));
  const Random::State before = world.random.state();
  const Genotype expected = world.encoding.encode(world.space.sample(ahead));
  const auto genotype = claim_random(world.context());
  ASSERT_TRUE(genotype);
  EXPECT_EQ(*genotype, expected);

  for (int i = 1; i < 64; ++i) {
    ASSERT_TRUE(world.context().claim(world.encoding.encode(world.space.sample(ahead))));
  }
  world.random = Random::from_state(before);
  EXPECT_FALSE(claim_random(world.context()));
}

TEST(ClaimRandom, ParameterBounds) {
  SearchSpaceOptions options = space_of_depths({1, 2, 3, 4});
  options.decoder_params = {.min = 20'000, .max = 30'000};
  World world(options);
  const std::uint64_t size = world.space.size().low_uint64();
  ASSERT_GT(size, 10U);
  std::set<Genotype> found;
  while (const auto genotype = claim_random(world.context())) {
    ASSERT_TRUE(world.space.contains(world.encoding.decode(*genotype)));
    found.insert(*genotype);
  }
  EXPECT_EQ(found.size(), size);
}

}  // namespace
}  // namespace lts
