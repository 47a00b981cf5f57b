#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "lts/random.hpp"
#include "lts/sort.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;
using oracle::Points;

/// Peels off one front after the other.
std::vector<std::uint32_t> oracle_sort(const Points& points, std::size_t m) {
  const std::size_t n = points.size() / m;
  std::vector<std::uint32_t> numbers(n, std::numeric_limits<std::uint32_t>::max());
  std::size_t n_left = n;
  for (std::uint32_t number = 0; n_left > 0; ++number) {
    std::vector<std::size_t> front;
    for (std::size_t i = 0; i < n; ++i) {
      if (numbers[i] < number) continue;
      bool dominated = false;
      for (std::size_t j = 0; j < n && !dominated; ++j)
        dominated = numbers[j] >= number && oracle::dominates(points, m, j, i);
      if (!dominated) front.push_back(i);
    }
    for (const std::size_t i : front) numbers[i] = number;
    n_left -= front.size();
  }
  return numbers;
}

std::vector<std::size_t> oracle_indices(const Points& points, std::size_t m) {
  const std::size_t n = points.size() / m;
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < n; ++i) {
    bool stays = true;
    for (std::size_t j = 0; j < n && stays; ++j) {
      const bool equal = std::equal(points.begin() + static_cast<std::ptrdiff_t>(i * m),
                                    points.begin() + static_cast<std::ptrdiff_t>((i + 1) * m),
                                    points.begin() + static_cast<std::ptrdiff_t>(j * m));
      stays = !(oracle::dominates(points, m, j, i) || (equal && j < i));
    }
    if (stays) indices.push_back(i);
  }
  return indices;
}

/// For every point and objective looks for the neighbors in the order of value, then index.
std::vector<double> oracle_crowding(const Points& points, std::size_t m) {
  const std::size_t n = points.size() / m;
  std::vector<double> distances(n, 0.0);
  for (std::size_t k = 0; k < m; ++k) {
    const auto key = [&](std::size_t i) { return std::pair(points[i * m + k], i); };
    double low = kInfinity;
    double high = -kInfinity;
    for (std::size_t i = 0; i < n; ++i) {
      low = std::min(low, points[i * m + k]);
      high = std::max(high, points[i * m + k]);
    }
    for (std::size_t i = 0; i < n; ++i) {
      std::size_t previous = n;
      std::size_t next = n;
      for (std::size_t j = 0; j < n; ++j) {
        if (key(j) < key(i) && (previous == n || key(j) > key(previous))) previous = j;
        if (key(j) > key(i) && (next == n || key(j) < key(next))) next = j;
      }
      if (previous == n || next == n) {
        distances[i] = kInfinity;
      } else if (high > low) {
        distances[i] += (points[next * m + k] - points[previous * m + k]) / (high - low);
      }
    }
  }
  return distances;
}

/// Random points of several kinds: grids with many ties, cubes, shells, a chain, infinities.
Points random_points(Random& random, std::size_t n, std::size_t m) {
  Points points(n * m);
  const std::uint32_t kind = random.below(5);
  constexpr double extremes[] = {-kInfinity, -0.0, 0.0, 1.0, kInfinity};
  for (std::size_t i = 0; i < n; ++i) {
    double sum = 0.0;
    for (std::size_t k = 0; k < m; ++k) {
      double& x = points[i * m + k];
      x = random.uniform();
      if (kind == 0) x = static_cast<double>(random.below(4));
      if (kind == 1) x = static_cast<double>(i / 2);
      if (kind == 2) x = extremes[random.below(5)];
      sum += x;
    }
    for (std::size_t k = 0; k < m && kind == 3; ++k) points[i * m + k] /= sum;
  }
  return points;
}

class SortOf : public testing::TestWithParam<std::size_t> {};

TEST_P(SortOf, FrontsAreThoseThatPeelOff) {
  Random random(10 + GetParam());
  for (int i = 0; i < 300; ++i) {
    const Points points = random_points(random, random.below(i % 20 == 0 ? 200 : 30), GetParam());
    ASSERT_EQ(nondominated_sort(points, GetParam()), oracle_sort(points, GetParam()));
  }
}

TEST_P(SortOf, IndicesAreThoseThatNoneDominates) {
  Random random(20 + GetParam());
  for (int i = 0; i < 300; ++i) {
    const Points points = random_points(random, random.below(i % 20 == 0 ? 400 : 30), GetParam());
    ASSERT_EQ(nondominated_indices(points, GetParam()), oracle_indices(points, GetParam()));
  }
}

TEST_P(SortOf, CrowdingIsTheGapBetweenNeighbors) {
  Random random(30 + GetParam());
  const std::size_t m = GetParam();
  for (int i = 0; i < 200; ++i) {
    const Points points = random_points(random, random.below(40), m);
    if (std::any_of(points.begin(), points.end(), [](double x) { return std::isinf(x); })) continue;
    const std::vector<double> distances = crowding_distance(points, m);
    const std::vector<double> expected = oracle_crowding(points, m);
    ASSERT_EQ(distances.size(), expected.size());
    for (std::size_t j = 0; j < distances.size(); ++j) ASSERT_DOUBLE_EQ(distances[j], expected[j]);
  }
}

TEST_P(SortOf, ManyPointsAgreeWithEachOther) {
  Random random(40 + GetParam());
  const std::size_t m = GetParam();
  for (int i = 0; i < 3; ++i) {
    const Points points = random_points(random, 3'000, m);
    const std::vector<std::uint32_t> numbers = nondominated_sort(points, m);
    for (const std::size_t j : nondominated_indices(points, m)) ASSERT_EQ(numbers[j], 0U);
    // Every point of a later front has a dominator in the front before it, and none in its own.
    for (std::size_t a = 0; a < numbers.size(); a += 50) {
      bool has_dominator = numbers[a] == 0;
      for (std::size_t b = 0; b < numbers.size(); ++b) {
        if (!oracle::dominates(points, m, b, a)) continue;
        ASSERT_LT(numbers[b], numbers[a]);
        has_dominator = has_dominator || numbers[b] + 1 == numbers[a];
      }
      ASSERT_TRUE(has_dominator);
    }
  }
}

TEST_P(SortOf, RefusesWhatAreNotPoints) {
  const std::size_t m = GetParam();
  Points points(2 * m, 1.0);
  points[2 * m - 1] = kNan;
  const std::string nan =
      "points: coordinate " + std::to_string(m - 1) + " of point 1 is NaN; every coordinate must be a number";
  EXPECT_EQ(message_of([&] { nondominated_sort(points, m); }), nan);
  EXPECT_EQ(message_of([&] { nondominated_indices(points, m); }), nan);
  EXPECT_EQ(message_of([&] { crowding_distance(points, m); }), nan);
  if (m == 1) return;
  points.assign(m + 1, 1.0);
  const std::string ragged = "points: " + std::to_string(m + 1) + " coordinates do not make whole points of " +
                             std::to_string(m) + "; their number must be a multiple";
  EXPECT_EQ(message_of([&] { nondominated_sort(points, m); }), ragged);
  EXPECT_EQ(message_of([&] { nondominated_indices(points, m); }), ragged);
  EXPECT_EQ(message_of([&] { crowding_distance(points, m); }), ragged);
}

INSTANTIATE_TEST_SUITE_P(Objectives, SortOf, testing::Values(1, 2, 3, 4, 5, 6));

TEST(Sort, RefusesNoObjectives) {
  const std::string message = "points: the number of objectives is 0; it must be at least 1";
  EXPECT_EQ(message_of([] { nondominated_sort({}, 0); }), message);
  EXPECT_EQ(message_of([] { nondominated_indices({}, 0); }), message);
  EXPECT_EQ(message_of([] { crowding_distance({}, 0); }), message);
}

TEST(Sort, Examples) {
  const Points points{2, 2, 1, 3, 3, 1, 3, 3, 2, 2, 4, 4};
  EXPECT_EQ(nondominated_sort(points, 2), (std::vector<std::uint32_t>{0, 0, 0, 1, 0, 2}));
  EXPECT_EQ(nondominated_indices(points, 2), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_TRUE(nondominated_sort({}, 2).empty());
  EXPECT_TRUE(nondominated_indices({}, 4).empty());
  EXPECT_EQ(nondominated_sort(Points{0.0, -0.0, -0.0, 0.0}, 2), (std::vector<std::uint32_t>{0, 0}));
}

TEST(Crowding, Examples) {
  EXPECT_TRUE(crowding_distance({}, 2).empty());
  EXPECT_EQ(crowding_distance(Points{5, 5}, 2), std::vector<double>{kInfinity});
  EXPECT_EQ(crowding_distance(Points{0, 4, 1, 2, 4, 0}, 2), (std::vector<double>{kInfinity, 2.0, kInfinity}));
  // Among equal extremes the first and the last count.
  EXPECT_EQ(crowding_distance(Points{7, 7, 7, 7}, 1), (std::vector<double>{kInfinity, 0.0, 0.0, kInfinity}));
}

TEST(Crowding, IsNeverNan) {
  constexpr double max = std::numeric_limits<double>::max();
  EXPECT_EQ(crowding_distance(Points{-max, 0, max}, 1)[1], 1.0);  // the range overflows
  EXPECT_EQ(crowding_distance(Points{-kInfinity, -kInfinity, 0, 1, kInfinity}, 1),
            (std::vector<double>{kInfinity, 1.0, 1.0, 1.0, kInfinity}));
  EXPECT_EQ(crowding_distance(Points{0, 1, 2, kInfinity}, 1), (std::vector<double>{kInfinity, 0.0, 1.0, kInfinity}));
  Random random(50);
  constexpr double values[] = {-kInfinity, -max, -1.0, 0.0, max, kInfinity};
  for (int i = 0; i < 2'000; ++i) {
    Points points(3 * random.below(8));
    for (double& x : points) x = values[random.below(6)];
    for (const double distance : crowding_distance(points, 3)) ASSERT_GE(distance, 0.0);
  }
}

}  // namespace
}  // namespace lts
