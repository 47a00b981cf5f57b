#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "lts/dominance.hpp"
#include "lts/random.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;
using oracle::no_worse_anywhere;
using oracle::Point;

TEST(Dominance, AgreesWithTheDefinition) {
  Random random(1);
  for (int i = 0; i < 50'000; ++i) {
    const std::size_t m = 1 + random.below(5);
    const Point a = oracle::random_tie(random, m);
    const Point b = oracle::random_tie(random, m);
    const bool ab = no_worse_anywhere(a, b);
    const bool ba = no_worse_anywhere(b, a);
    const Dominance expected = ab && ba ? Dominance::equal
                               : ab     ? Dominance::dominates
                               : ba     ? Dominance::dominated
                                        : Dominance::incomparable;
    ASSERT_EQ(compare(a, b), expected);
    ASSERT_EQ(dominates(a, b), ab && !ba);
  }
}

TEST(Dominance, Examples) {
  EXPECT_EQ(compare(Point{1, 2}, Point{1, 3}), Dominance::dominates);  // strict in one is enough
  EXPECT_EQ(compare(Point{1, 3}, Point{1, 2}), Dominance::dominated);
  EXPECT_EQ(compare(Point{1, 3}, Point{2, 2}), Dominance::incomparable);
  EXPECT_EQ(compare(Point{0.0, -0.0}, Point{-0.0, 0.0}), Dominance::equal);
  EXPECT_EQ(compare(Point{kInfinity, 0}, Point{kInfinity, 1}), Dominance::dominates);
  EXPECT_EQ(compare(Point{}, Point{}), Dominance::equal);
}

TEST(CheckPoints, AcceptsWholePointsWithInfinities) {
  EXPECT_NO_THROW(check_points({}, 3));
  EXPECT_NO_THROW(check_points(Point{1, kInfinity, -kInfinity, 0}, 2));
}

TEST(CheckPoints, SaysWhatIsWrong) {
  EXPECT_EQ(message_of([] { check_points({}, 0); }), "points: the number of objectives is 0; it must be at least 1");
  EXPECT_EQ(message_of([] {
              check_points(Point{1, 2, 3}, 2);
            }),
            "points: 3 coordinates do not make whole points of 2; their number must be a multiple");
  EXPECT_EQ(message_of([] {
              check_points(Point{1, 2, 3, kNan}, 2);
            }),
            "points: coordinate 1 of point 1 is NaN; every coordinate must be a number");
}

class DominanceIndexOf : public testing::TestWithParam<std::size_t> {};

TEST_P(DominanceIndexOf, AgreesWithAList) {
  const std::size_t m = GetParam();
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    Random random(seed);
    DominanceIndex index(m);
    oracle::PointList model;
    std::vector<std::uint64_t> removed;
    std::vector<std::uint64_t> expected_removed;
    const bool ties = seed % 3 == 0;
    const double depth = seed % 3 == 1 ? 0.01 : 0.5;
    for (std::uint64_t i = 0; i < 1'500; ++i) {
      const double closer = 1.0 - static_cast<double>(i) / 1'500.0;
      const Point point = ties ? oracle::random_tie(random, m) : oracle::random_near_front(random, m, depth * closer);
      const bool covered = model.covers(point);
      ASSERT_EQ(std::as_const(index).covers(point.data()), covered);
      ASSERT_EQ(index.covers_and_learn(point.data()), covered);
      ASSERT_EQ(std::as_const(index).covers(point.data()), covered);
      if (covered && random.below(4) != 0) continue;  // a covered point may be added too
      removed.clear();
      index.insert(point.data(), i, removed);
      std::sort(removed.begin(), removed.end());
      expected_removed.clear();
      model.add(point, i, expected_removed);
      ASSERT_EQ(removed, expected_removed);
      ASSERT_EQ(index.size(), model.points.size());
    }
    index.clear();
    EXPECT_EQ(index.size(), 0U);
    EXPECT_FALSE(index.covers(model.points.front().data()));
    EXPECT_FALSE(index.covers_and_learn(model.points.front().data()));
    index.insert(model.points.front().data(), 0, removed);
    EXPECT_TRUE(index.covers(model.points.front().data()));
  }
}

INSTANTIATE_TEST_SUITE_P(Objectives, DominanceIndexOf, testing::Values(1, 2, 3, 4, 5, 7));

}  // namespace
}  // namespace lts
