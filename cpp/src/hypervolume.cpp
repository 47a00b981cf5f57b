#include "lts/hypervolume.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "lts/dominance.hpp"
#include "lts/error.hpp"

namespace lts {

namespace {

/// A point in the first three objectives.
struct Point {
  double x, y, z;
};
constexpr auto less_z = [](const Point& a, const Point& b) noexcept { return a.z < b.z; };

/// The non-dominated of a set of points in the plane, up to an end in x and one in y. Ascending in x, descending in y.
class Staircase {
 public:
  Staircase(double x_end, double y_end) noexcept : x_end_(x_end), y_end_(y_end) {}

  void clear() noexcept { steps_.clear(); }

  /// Adds a point and returns the area that it alone dominates so far. O(log n), plus moving the points after it.
  double insert(double x, double y) {
    const auto first = std::lower_bound(steps_.begin(), steps_.end(), x,
                                        [](const Step& step, double value) { return step.x < value; });
    double y_left = first == steps_.begin() ? y_end_ : std::prev(first)->y;
    if (y_left <= y) return 0.0;
    double area = 0.0;
    double x_left = x;
    auto right = first;
    for (;; ++right) {
      const double x_right = right == steps_.end() ? x_end_ : right->x;
      area += (x_right - x_left) * (y_left - y);
      if (right == steps_.end() || right->y < y) break;
      x_left = x_right;
      y_left = right->y;
    }
    if (first == right) {
      steps_.insert(first, {x, y});
    } else {
      *first = {x, y};
      steps_.erase(std::next(first), right);
    }
    return area;
  }

 private:
  struct Step {
    double x, y;
  };
  std::vector<Step> steps_;
  double x_end_;
  double y_end_;
};

double volume2(std::span<const double> points, const double* reference) {
  std::vector<std::pair<double, double>> order(points.size() / 2);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = {points[2 * i], points[2 * i + 1]};
  std::sort(order.begin(), order.end());
  double volume = 0.0;
  double y_end = reference[1];
  for (const auto& [x, y] : order) {
    if (y >= y_end) continue;
    volume += (reference[0] - x) * (y_end - y);
    y_end = y;
  }
  return volume;
}

/// Sweeps along z; the area dominated in the plane grows with every point (Beume et al. 2009).
double volume3(std::span<const double> points, const double* reference) {
  std::vector<Point> order(points.size() / 3);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = {points[3 * i], points[3 * i + 1], points[3 * i + 2]};
  std::sort(order.begin(), order.end(), less_z);
  Staircase plane(reference[0], reference[1]);
  double volume = 0.0;
  double area = 0.0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    area += plane.insert(order[i].x, order[i].y);
    volume += area * ((i + 1 < order.size() ? order[i + 1].z : reference[2]) - order[i].z);
  }
  return volume;
}

// Four objectives or more. Sweeping along the last objective, each point adds the volume that it alone dominates in the
// other objectives: its "contribution". That is found by sweeping along the last of those: each other point takes away
// its own contribution, clipped to the region that the point dominates. The recursion ends in the plane.

/// The non-dominated of a set of points in `dims` dimensions: rows, ascending in the last coordinate.
class Front {
 public:
  explicit Front(std::size_t dims) noexcept : dims_(dims) {}

  void clear() noexcept { rows_.clear(); }
  [[nodiscard]] const double* begin() const noexcept { return rows_.data(); }
  [[nodiscard]] const double* end() const noexcept { return rows_.data() + rows_.size(); }

  /// Adds a point that no member covers and removes the members that it covers.
  void insert(const double* point) {
    const std::size_t last = dims_ - 1;
    std::size_t at = 0;
    for (std::size_t n = rows_.size() / dims_; n > 0;) {  // bisection
      const std::size_t half = n / 2;
      const bool before = rows_[(at + half) * dims_ + last] < point[last];
      if (before) at += half + 1;
      n = before ? n - half - 1 : half;
    }
    const auto first = rows_.begin() + static_cast<std::ptrdiff_t>(at * dims_);
    auto to = first;
    for (auto row = first; row != rows_.end(); row += static_cast<std::ptrdiff_t>(dims_)) {
      bool covered = true;
      for (std::size_t k = 0; k < last; ++k) covered &= point[k] <= row[static_cast<std::ptrdiff_t>(k)];
      if (covered) continue;
      if (to != row) std::copy_n(row, dims_, to);
      to += static_cast<std::ptrdiff_t>(dims_);
    }
    rows_.erase(to, rows_.end());
    rows_.insert(first, point, point + dims_);
  }

 private:
  std::size_t dims_;
  std::vector<double> rows_;
};

class Sweep {
 public:
  explicit Sweep(std::span<const double> reference) : reference_(reference), plane_(reference[0], reference[1]) {
    for (std::size_t dims = 0; dims < reference.size(); ++dims) {
      fronts_.emplace_back(dims);
      clipped_.emplace_back(dims);
    }
  }

  /// Volume of at least four objectives.
  double volume(std::span<const double> points) {
    const std::size_t dims = reference_.size() - 1;
    std::vector<const double*> order;
    for (std::size_t i = 0; i < points.size(); i += dims + 1) order.push_back(points.data() + i);
    std::sort(order.begin(), order.end(), [=](const double* a, const double* b) { return a[dims] < b[dims]; });
    double total = 0.0;
    for (const double* point : order) {
      const double alone = contribution(dims, point, fronts_[dims]);
      if (alone == 0.0) continue;  // covered
      total += alone * (reference_[dims] - point[dims]);
      fronts_[dims].insert(point);
    }
    return total;
  }

 private:
  /// The volume in the first `dims` objectives that the point dominates and none of the others; 0 when one covers it.
  double contribution(std::size_t dims, const double* point, const Front& others) {
    if (dims == 3) return contribution3(point, others);
    const std::size_t last = dims - 1;
    Front& front = fronts_[last];
    front.clear();
    std::vector<double>& clipped = clipped_[last];
    double alone = 1.0;
    for (std::size_t k = 0; k < last; ++k) alone *= reference_[k] - point[k];
    double volume = 0.0;
    double w = point[last];
    for (const double* other = others.begin(); other != others.end(); other += dims) {
      bool all = true;
      for (std::size_t k = 0; k < last; ++k) {
        all &= other[k] <= point[k];
        clipped[k] = std::max(other[k], point[k]);
      }
      const double taken = all ? 1.0 : contribution(last, clipped.data(), front);
      if (taken == 0.0) continue;
      if (other[last] > w) {
        volume += alone * (other[last] - w);
        w = other[last];
      }
      if (all) return volume;
      alone -= taken;
      front.insert(clipped.data());
    }
    return volume + alone * (reference_[last] - w);
  }

  double contribution3(const double* point, const Front& others) {
    plane_.clear();
    double alone = (reference_[0] - point[0]) * (reference_[1] - point[1]);
    double volume = 0.0;
    double z = point[2];
    double x_end = reference_[0];  // the region that the point alone dominates ends here
    double y_end = reference_[1];
    for (const double* other = others.begin(); other != others.end(); other += 3) {
      if (other[0] >= x_end || other[1] >= y_end) continue;
      if (other[2] > z) {
        volume += alone * (other[2] - z);
        z = other[2];
      }
      const bool left = other[0] <= point[0];
      const bool below = other[1] <= point[1];
      if (left && below) return volume;
      if (left) y_end = other[1];
      if (below) x_end = other[0];
      alone -= plane_.insert(left ? point[0] : other[0], below ? point[1] : other[1]);
    }
    return volume + alone * (reference_[2] - z);
  }

  std::span<const double> reference_;
  Staircase plane_;
  std::vector<Front> fronts_;                 // by number of dimensions, the front in use
  std::vector<std::vector<double>> clipped_;  // by number of dimensions, the clipped points
};

/// Hypervolume of points that are better than the reference in every coordinate.
double volume_of(std::span<const double> points, std::span<const double> reference) {
  if (points.empty()) return 0.0;
  switch (reference.size()) {
    case 1:
      return reference[0] - *std::min_element(points.begin(), points.end());
    case 2:
      return volume2(points, reference.data());
    case 3:
      return volume3(points, reference.data());
    default:
      return Sweep(reference).volume(points);
  }
}

}  // namespace

double hypervolume(std::span<const double> points, std::span<const double> reference) {
  const std::size_t m = reference.size();
  if (m == 0) throw_invalid({"reference: no coordinates; it must have one for each objective, at least 1"});
  for (std::size_t k = 0; k < m; ++k) {
    if (!std::isfinite(reference[k])) {
      throw_invalid({"reference: coordinate ", std::to_string(k), " is ", to_text(reference[k]),
                     "; every coordinate must be a finite number"});
    }
  }
  check_points(points, m);
  std::vector<double> inside;
  for (std::size_t i = 0; i < points.size(); i += m) {
    const double* point = points.data() + i;
    bool better = true;
    bool finite = true;
    for (std::size_t k = 0; k < m; ++k) {
      better &= point[k] < reference[k];
      finite &= std::isfinite(reference[k] - point[k]);
    }
    if (!better) continue;
    if (!finite) return std::numeric_limits<double>::infinity();
    inside.insert(inside.end(), point, point + m);
  }
  const double volume = volume_of(inside, reference);
  return std::isnan(volume) ? std::numeric_limits<double>::infinity() : volume;  // inf - inf: it overflowed
}

}  // namespace lts
