#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lts/dominance.hpp"
#include "lts/random.hpp"

namespace lts {
namespace {

using Point = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class Function>
std::string message_of(Function&& function) {
  try {
    function();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// Straight from the definition.
bool no_worse_anywhere(const Point& a, const Point& b) {
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k] > b[k]) return false;
  }
  return true;
}

/// Few values, so that ties are frequent; both zeros and infinities among them.
Point random_point(Random& random, std::size_t m) {
  constexpr double values[] = {-kInfinity, -1.0, -0.0, 0.0, 1.0, 2.5, kInfinity};
  Point point(m);
  for (double& x : point) x = values[random.below(7)];
  return point;
}

TEST(Dominance, AgreesWithTheDefinition) {
  Random random(1);
  for (int i = 0; i < 50'000; ++i) {
    const std::size_t m = 1 + random.below(5);
    const Point a = random_point(random, m);
    const Point b = random_point(random, m);
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
              check_points(Point{1, 2, 3, std::nan("")}, 2);
            }),
            "points: coordinate 1 of point 1 is NaN; every coordinate must be a number");
}

/// A list and nothing else.
struct Model {
  std::vector<std::pair<Point, std::uint64_t>> points;

  [[nodiscard]] bool covers(const Point& point) const {
    return std::any_of(points.begin(), points.end(),
                       [&](const auto& entry) { return no_worse_anywhere(entry.first, point); });
  }
  std::vector<std::uint64_t> insert(const Point& point, std::uint64_t tag) {
    std::vector<std::uint64_t> removed;
    for (const auto& [other, other_tag] : points) {
      if (no_worse_anywhere(point, other)) removed.push_back(other_tag);
    }
    std::erase_if(points, [&](const auto& entry) { return no_worse_anywhere(point, entry.first); });
    points.emplace_back(point, tag);
    return removed;
  }
};

class DominanceIndexOf : public testing::TestWithParam<std::size_t> {};

TEST_P(DominanceIndexOf, AgreesWithAList) {
  const std::size_t m = GetParam();
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    Random random(seed);
    DominanceIndex index(m);
    Model model;
    std::vector<std::uint64_t> removed;
    const bool ties = seed % 3 == 0;
    const double depth = seed % 3 == 1 ? 0.01 : 0.5;  // a thin shell gives many members, a thick one many removals
    for (std::uint64_t i = 0; i < 1'500; ++i) {
      Point point = ties ? random_point(random, m) : Point(m);
      if (!ties) {
        double sum = 0.0;
        for (double& x : point) sum += x = random.uniform();
        for (double& x : point) x = x / sum + depth * random.uniform() * (1.0 - static_cast<double>(i) / 1'500.0);
      }
      const bool covered = model.covers(point);
      ASSERT_EQ(std::as_const(index).covers(point.data()), covered);
      ASSERT_EQ(index.covers_and_learn(point.data()), covered);
      ASSERT_EQ(std::as_const(index).covers(point.data()), covered);
      if (covered && random.below(4) != 0) continue;  // a covered point may be added too
      removed.clear();
      index.insert(point.data(), i, removed);
      std::sort(removed.begin(), removed.end());
      ASSERT_EQ(removed, model.insert(point, i));
      ASSERT_EQ(index.size(), model.points.size());
    }
    index.clear();
    EXPECT_EQ(index.size(), 0U);
    EXPECT_FALSE(index.covers(model.points.front().first.data()));
    EXPECT_FALSE(index.covers_and_learn(model.points.front().first.data()));
    index.insert(model.points.front().first.data(), 0, removed);
    EXPECT_TRUE(index.covers(model.points.front().first.data()));
  }
}

INSTANTIATE_TEST_SUITE_P(Objectives, DominanceIndexOf, testing::Values(1, 2, 3, 4, 5, 7));

}  // namespace
}  // namespace lts
