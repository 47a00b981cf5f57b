#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "lts/random.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

/// The published code, https://prng.di.unimi.it/splitmix64.c and xoshiro256plusplus.c, retyped.
struct Reference {
  std::uint64_t x = 0;
  std::uint64_t s[4] = {};

  explicit Reference(std::uint64_t seed) : x(seed) {
    for (std::uint64_t& word : s) word = splitmix64();
  }
  std::uint64_t splitmix64() {
    std::uint64_t z = (x += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  static std::uint64_t rotl(std::uint64_t v, int k) { return (v << k) | (v >> (64 - k)); }
  std::uint64_t next() {
    const std::uint64_t result = rotl(s[0] + s[3], 23) + s[0];
    const std::uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
  }
};

TEST(Random, IsSeededBySplitmix64) {
  // The published first outputs of splitmix64 from 0.
  const Random::State expected{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f, 0xf88bb8a8724c81ec};
  EXPECT_EQ(Random(0).state(), expected);
}

TEST(Random, GivesThePublishedSequence) {
  // Test vector of the rand_xoshiro crate, made with the authors' C code.
  constexpr std::array<std::uint64_t, 10> expected{41943041,
                                                   58720359,
                                                   3588806011781223,
                                                   3591011842654386,
                                                   9228616714210784205U,
                                                   9973669472204895162U,
                                                   14011001112246962877U,
                                                   12406186145184390807U,
                                                   15849039046786891736U,
                                                   10450023813501588000U};
  Random random = Random::from_state({1, 2, 3, 4});
  for (const std::uint64_t value : expected) EXPECT_EQ(random.next(), value);
}

TEST(Random, AgreesWithTheReferenceForManySeeds) {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{42}, std::uint64_t{1} << 63,
                                   ~std::uint64_t{0}, std::uint64_t{20221128}}) {
    Random random(seed);
    Reference reference(seed);
    for (int i = 0; i < 10'000; ++i) ASSERT_EQ(random.next(), reference.next()) << seed << " at " << i;
  }
}

TEST(Random, GoesOnFromASavedState) {
  Random random(7);
  for (int i = 0; i < 100; ++i) random.next();
  Random other = Random::from_state(random.state());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(other.next(), random.next());
  EXPECT_EQ(oracle::message_of([] { (void)Random::from_state({}); }),
            "random state: all four words are 0; at least one must not be");
}

TEST(Random, BelowStaysBelow) {
  Random random(1);
  for (const std::uint32_t n : {1U, 2U, 3U, 7U, 64U, 1000U, 0x80000000U, 0x80000001U, 0xFFFFFFFFU}) {
    for (int i = 0; i < 1000; ++i) ASSERT_LT(random.below(n), n);
  }
}

TEST(Random, BelowIsUniform) {
  Random random(2);
  for (const std::uint32_t n : {2U, 3U, 6U, 10U, 61U, 100U, 183U}) {
    constexpr int draws = 200'000;
    std::vector<double> counts(n, 0.0);
    for (int i = 0; i < draws; ++i) ++counts[random.below(n)];
    const std::vector<double> expected(n, static_cast<double>(draws) / n);
    EXPECT_LT(oracle::chi_square_deviation(counts, expected), 4.0) << n;
  }
}

TEST(Random, BelowHasNoBiasForLargeBounds) {
  // Taking 32 bits modulo 3 * 2^30 would make the first third twice as likely.
  Random random(3);
  constexpr std::uint32_t third = std::uint32_t{1} << 30;
  constexpr int draws = 300'000;
  std::vector<double> counts(3, 0.0);
  std::vector<double> residues(3, 0.0);
  for (int i = 0; i < draws; ++i) {
    const std::uint32_t value = random.below(3 * third);
    ++counts[value / third];
    ++residues[value % 3];
  }
  const std::vector<double> expected(3, draws / 3.0);
  EXPECT_LT(oracle::chi_square_deviation(counts, expected), 4.0);
  EXPECT_LT(oracle::chi_square_deviation(residues, expected), 4.0);
}

TEST(Random, UniformIsThe53HighBits) {
  Random random(4);
  Reference reference(4);
  double sum = 0;
  constexpr int draws = 100'000;
  std::vector<double> tenths(10, 0.0);
  for (int i = 0; i < draws; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ASSERT_EQ(std::ldexp(u, 53), static_cast<double>(reference.next() >> 11));
    sum += u;
    ++tenths[static_cast<std::size_t>(u * 10)];
  }
  EXPECT_NEAR(sum / draws, 0.5, 4 * std::sqrt(1.0 / 12 / draws));
  EXPECT_LT(oracle::chi_square_deviation(tenths, std::vector<double>(10, draws / 10.0)), 4.0);
}

TEST(Random, BernoulliHasItsProbability) {
  Random random(5);
  constexpr int draws = 100'000;
  for (const double p : {0.0, 0.1, 0.3, 0.5, 0.9, 1.0}) {
    int hits = 0;
    for (int i = 0; i < draws; ++i) hits += random.bernoulli(p) ? 1 : 0;
    EXPECT_NEAR(static_cast<double>(hits) / draws, p, 4 * std::sqrt(p * (1 - p) / draws)) << p;
  }
}

}  // namespace
}  // namespace lts
