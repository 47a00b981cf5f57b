#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "lts/hypervolume.hpp"
#include "lts/random.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;
using oracle::Points;

/// Counts the unit cells of the grid [0, side)^m that a point with integer coordinates dominates.
double count_cells(const Points& points, std::size_t m, std::uint32_t side) {
  std::vector<std::uint32_t> cell(m, 0);
  double count = 0.0;
  while (true) {
    for (std::size_t i = 0; i < points.size(); i += m) {
      bool inside = true;
      for (std::size_t k = 0; k < m; ++k) inside = inside && points[i + k] <= cell[k];
      if (!inside) continue;
      count += 1.0;
      break;
    }
    std::size_t k = 0;
    while (k < m && ++cell[k] == side) cell[k++] = 0;
    if (k == m) return count;
  }
}

/// Adds and subtracts the boxes of all subsets.
double include_exclude(const Points& points, const Points& reference) {
  const std::size_t m = reference.size();
  const std::size_t n = points.size() / m;
  double volume = 0.0;
  for (std::uint32_t subset = 1; subset < 1U << n; ++subset) {
    double box = -1.0;
    for (std::size_t i = 0; i < n; ++i) {
      if ((subset >> i & 1U) != 0) box = -box;
    }
    for (std::size_t k = 0; k < m; ++k) {
      double corner = -kInfinity;
      for (std::size_t i = 0; i < n; ++i) {
        if ((subset >> i & 1U) != 0) corner = std::max(corner, points[i * m + k]);
      }
      box *= std::max(0.0, reference[k] - corner);
    }
    volume += box;
  }
  return volume;
}

/// `n` points with coordinates from 0 to `end` - 1.
Points random_integers(Random& random, std::size_t n, std::size_t m, std::uint32_t end) {
  Points points(n * m);
  for (double& x : points) x = static_cast<double>(random.below(end));
  return points;
}

class HypervolumeOf : public testing::TestWithParam<std::size_t> {};

TEST_P(HypervolumeOf, CountsCellsExactly) {
  const std::size_t m = GetParam();
  const std::uint32_t side = m <= 3 ? 7 : m == 4 ? 5 : 4;
  Random random(m);
  for (int i = 0; i < 400; ++i) {
    Points points(m * random.below(40));
    const std::uint32_t least = random.below(3);                          // higher: fewer points dominate others
    for (double& x : points) x = least + random.below(side + 2 - least);  // some lie on or beyond the reference
    ASSERT_EQ(hypervolume(points, Points(m, side)), count_cells(points, m, side));
  }
}

TEST_P(HypervolumeOf, AgreesWithInclusionAndExclusion) {
  const std::size_t m = GetParam();
  Random random(100 + m);
  for (int i = 0; i < 200; ++i) {
    Points points(m * random.below(10));
    for (double& x : points) x = random.uniform() * 1.2;
    Points reference(m);
    for (double& x : reference) x = 0.8 + 0.4 * random.uniform();
    ASSERT_NEAR(hypervolume(points, reference), include_exclude(points, reference), 1e-13);
  }
}

TEST_P(HypervolumeOf, DoesNotDependOnTheOrderOfIntegerPoints) {
  const std::size_t m = GetParam();
  Random random(200 + m);
  for (int i = 0; i < 50; ++i) {
    const std::size_t n = 1 + random.below(60);
    Points points = random_integers(random, n, m, 30);
    const Points reference(m, 28.0);
    const double volume = hypervolume(points, reference);
    for (std::size_t a = n; a-- > 1;) {
      const std::size_t b = random.below(static_cast<std::uint32_t>(a + 1));
      for (std::size_t k = 0; k < m; ++k) std::swap(points[a * m + k], points[b * m + k]);
    }
    ASSERT_EQ(hypervolume(points, reference), volume);
    // Nor on the order of the objectives.
    for (std::size_t j = 0; j < points.size(); j += m) {
      const auto at = points.begin() + static_cast<std::ptrdiff_t>(j);
      std::rotate(at, at + 1, at + static_cast<std::ptrdiff_t>(m));
    }
    ASSERT_EQ(hypervolume(points, reference), volume);
  }
}

TEST_P(HypervolumeOf, DominatedAndEqualPointsAddNothing) {
  const std::size_t m = GetParam();
  Random random(300 + m);
  for (int i = 0; i < 50; ++i) {
    const std::size_t n = 1 + random.below(20);
    Points points = random_integers(random, n, m, 20);
    const Points reference(m, 25.0);
    const double volume = hypervolume(points, reference);
    for (std::size_t j = 0; j < n * m; ++j) points.push_back(points[j] + static_cast<double>(random.below(2)));
    for (std::size_t k = 0; k < m; ++k) points.push_back(25.0);
    ASSERT_EQ(hypervolume(points, reference), volume);
  }
}

TEST_P(HypervolumeOf, ManyPointsAgreeWithSampling) {
  const std::size_t m = GetParam();
  Random random(400 + m);
  Points points;
  for (std::size_t i = 0; i < 150; ++i) {
    Points direction(m);
    double norm = 0.0;
    for (double& x : direction) {
      x = random.uniform();
      norm += x * x;
    }
    for (const double x : direction) points.push_back(1.0 - x / std::sqrt(norm));
  }
  const double volume = hypervolume(points, Points(m, 1.0));
  constexpr int n_samples = 20'000;
  int n_inside = 0;
  for (int i = 0; i < n_samples; ++i) {
    Points sample(m);
    for (double& x : sample) x = random.uniform();
    for (std::size_t j = 0; j < points.size(); j += m) {
      bool inside = true;
      for (std::size_t k = 0; k < m; ++k) inside = inside && points[j + k] <= sample[k];
      if (!inside) continue;
      ++n_inside;
      break;
    }
  }
  EXPECT_NEAR(volume, static_cast<double>(n_inside) / n_samples, 5.0 * 0.5 / std::sqrt(n_samples));
}

TEST_P(HypervolumeOf, InfinitiesAndOverflow) {
  const std::size_t m = GetParam();
  const Points reference(m, 1.0);
  Points point(m, 0.0);
  EXPECT_EQ(hypervolume(point, reference), 1.0);
  point[m - 1] = -kInfinity;
  EXPECT_EQ(hypervolume(point, reference), kInfinity);
  point[0] = m > 1 ? 1.0 : point[0];  // on the reference: not counted, so not infinite
  EXPECT_EQ(hypervolume(point, reference), m > 1 ? 0.0 : kInfinity);
  point.assign(m, kInfinity);
  EXPECT_EQ(hypervolume(point, reference), 0.0);
  constexpr double max = std::numeric_limits<double>::max();
  EXPECT_EQ(hypervolume(Points(m, -max), Points(m, max)), kInfinity);
  Random random(500 + m);
  for (int i = 0; i < 500; ++i) {
    Points points(m * random.below(6));
    for (double& x : points) x = (random.uniform() - 0.5) * max;
    ASSERT_GE(hypervolume(points, Points(m, max / 4)), 0.0);  // not NaN
  }
}

TEST_P(HypervolumeOf, RefusesWhatAreNotPoints) {
  const std::size_t m = GetParam();
  Points points(2 * m, 0.5);
  points[m] = kNan;
  EXPECT_EQ(message_of([&] { hypervolume(points, Points(m, 1.0)); }),
            "points: coordinate 0 of point 1 is NaN; every coordinate must be a number");
  for (const double bad : {kNan, kInfinity, -kInfinity}) {
    Points reference(m, 1.0);
    reference[m - 1] = bad;
    EXPECT_EQ(message_of([&] { hypervolume({}, reference); }), "reference: coordinate " + std::to_string(m - 1) +
                                                                   " is " + std::to_string(bad) +
                                                                   "; every coordinate must be a finite number");
  }
}

INSTANTIATE_TEST_SUITE_P(Objectives, HypervolumeOf, testing::Values(1, 2, 3, 4, 5, 6));

TEST(Hypervolume, Examples) {
  EXPECT_EQ(hypervolume({}, Points{4, 4}), 0.0);
  EXPECT_EQ(hypervolume(Points{1, 3, 2, 2, 3, 1}, Points{4, 4}), 6.0);
  EXPECT_EQ(hypervolume(Points{5, 5, 4, 6, 2, 7, 7, 4}, Points{10, 10}), 38.0);  // from the manual of moocore
  EXPECT_EQ(hypervolume(Points{3, 1, 2}, Points{4}), 3.0);
  EXPECT_EQ(hypervolume(Points{0, 0, 0, 0}, Points{4, 4}), 16.0);
  EXPECT_EQ(hypervolume(Points{0, 4}, Points{4, 4}), 0.0);  // on the edge
}

TEST(Hypervolume, RefusesRaggedPointsAndNoObjectives) {
  EXPECT_EQ(message_of([] {
              hypervolume(Points{1, 2, 3}, Points{4, 4});
            }),
            "points: 3 coordinates do not make whole points of 2; their number must be a multiple");
  EXPECT_EQ(message_of([] { hypervolume({}, {}); }),
            "reference: no coordinates; it must have one for each objective, at least 1");
}

}  // namespace
}  // namespace lts
