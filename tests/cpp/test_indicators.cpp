#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "lts/indicators.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;
using oracle::Points;

TEST(Indicators, Examples) {
  const Points points{1, 5, 4, 2};
  const Points reference{0, 4, 3, 3, 5, 1};
  // (1, 5): sqrt(2) from (0, 4); (4, 2): sqrt(2) from (3, 3) and from (5, 1).
  EXPECT_DOUBLE_EQ(gd(points, reference, 2), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(igd(points, reference, 2), std::sqrt(2.0));
  // Worse than (0, 4) by 1 and 1; than (3, 3) by 1 in the first objective, than (5, 1) by 1 in the second.
  EXPECT_DOUBLE_EQ(gd_plus(points, reference, 2), (std::sqrt(2.0) + 1.0) / 2.0);
  EXPECT_DOUBLE_EQ(igd_plus(points, reference, 2), (std::sqrt(2.0) + 1.0 + 1.0) / 3.0);
}

TEST(Indicators, AreZeroWhereNothingIsApart) {
  const Points all{0, 4, 3, 3, 5, 1};
  const Points some{3, 3};
  EXPECT_EQ(gd(some, all, 2), 0.0);
  EXPECT_GT(igd(some, all, 2), 0.0);
  EXPECT_EQ(igd(all, some, 2), 0.0);
  const Points better{-1, -1};
  EXPECT_EQ(gd_plus(better, all, 2), 0.0);
  EXPECT_EQ(igd_plus(better, all, 2), 0.0);
  EXPECT_GT(igd(better, all, 2), 0.0);
}

TEST(Indicators, InfiniteCoordinates) {
  for (const auto indicator : {gd, igd, gd_plus, igd_plus}) {
    EXPECT_EQ(indicator(Points{1, kInfinity}, Points{1, kInfinity}, 2), 0.0);
    EXPECT_EQ(indicator(Points{kInfinity, 0, 0, 0}, Points{0, 0, kInfinity, 0}, 2), 0.0);
    EXPECT_EQ(indicator(Points{1, kInfinity}, Points{1, 2}, 2), kInfinity);
  }
  EXPECT_EQ(gd_plus(Points{1, -kInfinity}, Points{1, 2}, 2), 0.0);
  EXPECT_EQ(igd_plus(Points{1, 2}, Points{1, kInfinity}, 2), 0.0);
  EXPECT_EQ(igd(Points{1, 2}, Points{1, kInfinity}, 2), kInfinity);
}

TEST(Indicators, RefuseWhatAreNotPoints) {
  for (const auto indicator : {gd, igd, gd_plus, igd_plus}) {
    EXPECT_EQ(message_of([&] {
                indicator({}, Points{1, 2}, 2);
              }),
              "points: there are none; a distance needs at least one");
    EXPECT_EQ(message_of([&] {
                indicator(Points{1, 2}, {}, 2);
              }),
              "reference: there are no points; a distance needs at least one");
    EXPECT_NE(message_of([&] { indicator(Points{1, kNan}, Points{1, 2}, 2); }), "");
    EXPECT_NE(message_of([&] { indicator(Points{1, 2}, Points{1, 2, 3}, 2); }), "");
    EXPECT_NE(message_of([&] { indicator(Points{1, 2}, Points{1, 2}, 0); }), "");
  }
}

}  // namespace
}  // namespace lts
