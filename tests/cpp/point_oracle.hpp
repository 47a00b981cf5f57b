#pragma once

// What the tests of dominance, archives, sorting and hypervolume check against: the definition of dominance, and lists.
// Shares nothing with the library but `Random`.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "lts/random.hpp"
#include "message.hpp"

namespace lts::oracle {

using Point = std::vector<double>;
using Points = std::vector<double>;  ///< one after the other

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Straight from the definition.
inline bool no_worse_anywhere(std::span<const double> a, std::span<const double> b) {
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k] > b[k]) return false;
  }
  return true;
}

/// Whether point `a` of the points of `m` coordinates is better than point `b` somewhere and no worse anywhere.
inline bool dominates(std::span<const double> points, std::size_t m, std::size_t a, std::size_t b) {
  const std::span<const double> point_a = points.subspan(a * m, m);
  const std::span<const double> point_b = points.subspan(b * m, m);
  return no_worse_anywhere(point_a, point_b) && !no_worse_anywhere(point_b, point_a);
}

/// Points in the order of insertion and nothing else.
struct PointList {
  std::vector<Point> points;
  std::vector<std::uint64_t> ids;

  [[nodiscard]] bool covers(const Point& point) const {
    return std::any_of(points.begin(), points.end(),
                       [&](const Point& member) { return no_worse_anywhere(member, point); });
  }
  /// Adds the point, covered or not, in place of those that it covers; appends their ids to `dropped`, in order.
  void add(const Point& point, std::uint64_t id, std::vector<std::uint64_t>& dropped) {
    for (std::size_t i = 0; i < points.size();) {
      if (no_worse_anywhere(point, points[i])) {
        dropped.push_back(ids[i]);
        points.erase(points.begin() + static_cast<std::ptrdiff_t>(i));
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i));
      } else {
        ++i;
      }
    }
    points.push_back(point);
    ids.push_back(id);
  }
};

/// Few values, so that ties are frequent; both zeros and infinities among them.
inline Point random_tie(Random& random, std::size_t m) {
  constexpr double values[] = {-kInfinity, -1.0, -0.0, 0.0, 1.0, 2.5, kInfinity};
  Point point(m);
  for (double& x : point) x = values[random.below(7)];
  return point;
}

/// A point at most `depth` above a front: a thin shell gives many members, a thick one many removals.
inline Point random_near_front(Random& random, std::size_t m, double depth) {
  Point point(m);
  double sum = 0.0;
  for (double& x : point) sum += x = random.uniform();
  for (double& x : point) x = x / sum + depth * random.uniform();
  return point;
}

}  // namespace lts::oracle
