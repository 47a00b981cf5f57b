#include "lts/sort.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

#include "lts/dominance.hpp"

namespace lts {

namespace {

// Points are visited in lexicographic order, so that what dominates a point comes before it and is no worse in the
// first coordinate. So a front needs only the other coordinates of its members, and only the non-dominated ones: it
// "covers" a point when a member dominates or equals it. With up to three objectives, a front is a staircase in the
// second and third coordinate (missing ones are 0); with more, a DominanceIndex.

/// A point of up to three objectives.
struct Row {
  std::array<double, 3> x{};
  std::size_t index = 0;
  friend bool operator<(const Row& a, const Row& b) noexcept {
    if (a.x[0] != b.x[0]) return a.x[0] < b.x[0];
    if (a.x[1] != b.x[1]) return a.x[1] < b.x[1];
    if (a.x[2] != b.x[2]) return a.x[2] < b.x[2];
    return a.index < b.index;
  }
};

/// Members ascending in the second coordinate and descending in the third.
class Staircase {
 public:
  explicit Staircase(std::size_t /*n_objectives*/) noexcept {}
  [[nodiscard]] bool covers(const double* x) const noexcept {
    const auto after = above(x[1]);
    return after != steps_.begin() && std::prev(after)->second <= x[2];
  }
  void insert(const double* x) {
    const auto at =
        std::lower_bound(steps_.begin(), steps_.end(), x[1], [](const Step& step, double y) { return step.first < y; });
    const auto end = std::find_if(at, steps_.end(), [&](const Step& step) { return step.second < x[2]; });
    if (at == end) {
      steps_.insert(at, {x[1], x[2]});
    } else {
      *at = {x[1], x[2]};
      steps_.erase(std::next(at), end);
    }
  }

 private:
  using Step = std::pair<double, double>;
  [[nodiscard]] std::vector<Step>::const_iterator above(double y) const noexcept {
    return std::upper_bound(steps_.begin(), steps_.end(), y, [](double a, const Step& step) { return a < step.first; });
  }
  std::vector<Step> steps_;
};

class IndexedFront {
 public:
  explicit IndexedFront(std::size_t n_objectives) noexcept : members_(n_objectives - 1) {}
  [[nodiscard]] bool covers(const double* x) noexcept { return members_.covers_and_learn(x + 1); }
  void insert(const double* x) {
    removed_.clear();
    members_.insert(x + 1, 0, removed_);
  }

 private:
  DominanceIndex members_;
  std::vector<std::uint64_t> removed_;
};

/// Calls `visit(coordinates, index, equals_previous)` for every point in lexicographic order.
template <class Visit>
void visit_small(std::span<const double> points, std::size_t m, Visit&& visit) {
  std::vector<Row> rows(points.size() / m);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::copy_n(points.data() + i * m, m, rows[i].x.data());
    rows[i].index = i;
  }
  std::sort(rows.begin(), rows.end());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    visit(rows[i].x.data(), rows[i].index, i > 0 && rows[i].x == rows[i - 1].x);
  }
}

template <class Visit>
void visit_large(std::span<const double> points, std::size_t m, Visit&& visit) {
  std::vector<std::size_t> order(points.size() / m);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto row = [&](std::size_t i) { return points.data() + i * m; };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    for (std::size_t k = 0; k < m; ++k) {
      if (row(a)[k] != row(b)[k]) return row(a)[k] < row(b)[k];
    }
    return a < b;
  });
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double* x = row(order[i]);
    visit(x, order[i], i > 0 && std::equal(x, x + m, row(order[i - 1])));
  }
}

/// Calls `run(visit_points, front)` with the kind of front that suits the number of objectives.
template <class Run>
void with_front(std::span<const double> points, std::size_t m, Run&& run) {
  if (m <= 3) {
    run([&](auto&& visit) { visit_small(points, m, visit); }, Staircase(m));
  } else {
    run([&](auto&& visit) { visit_large(points, m, visit); }, IndexedFront(m));
  }
}

/// The share of the range from `low` to `high` that lies between two values; of an infinite range, 0 or 1.
double share(double from, double to, double low, double high) noexcept {
  if (from == to) return 0.0;
  const double range = high / 2 - low / 2;  // halves do not overflow
  const double gap = to / 2 - from / 2;
  if (std::isinf(range)) return std::isinf(gap) ? 1.0 : 0.0;
  return gap / range;
}

}  // namespace

std::vector<std::uint32_t> nondominated_sort(std::span<const double> points, std::size_t n_objectives) {
  check_points(points, n_objectives);
  std::vector<std::uint32_t> numbers(points.size() / n_objectives);
  with_front(points, n_objectives, [&](auto&& visit_points, const auto& empty_front) {
    std::vector<std::decay_t<decltype(empty_front)>> fronts;
    std::size_t number = 0;  // front of the point, shared by equal points
    visit_points([&](const double* x, std::size_t index, bool equals_previous) {
      if (!equals_previous) {
        // A front that covers the point has every earlier front cover it too.
        const auto at =
            std::partition_point(fronts.begin(), fronts.end(), [&](auto& front) { return front.covers(x); });
        number = static_cast<std::size_t>(at - fronts.begin());
        if (at == fronts.end()) fronts.push_back(empty_front);
        fronts[number].insert(x);
      }
      numbers[index] = static_cast<std::uint32_t>(number);
    });
  });
  return numbers;
}

std::vector<std::size_t> nondominated_indices(std::span<const double> points, std::size_t n_objectives) {
  check_points(points, n_objectives);
  std::vector<std::size_t> indices;
  with_front(points, n_objectives, [&](auto&& visit_points, auto front) {
    visit_points([&](const double* x, std::size_t index, bool equals_previous) {
      if (equals_previous || front.covers(x)) return;
      front.insert(x);
      indices.push_back(index);
    });
  });
  std::sort(indices.begin(), indices.end());
  return indices;
}

std::vector<double> crowding_distance(std::span<const double> points, std::size_t n_objectives) {
  check_points(points, n_objectives);
  const std::size_t n = points.size() / n_objectives;
  std::vector<double> distances(n, 0.0);
  std::vector<std::pair<double, std::size_t>> column(n);
  for (std::size_t k = 0; k < n_objectives && n > 0; ++k) {
    for (std::size_t i = 0; i < n; ++i) column[i] = {points[i * n_objectives + k], i};
    std::sort(column.begin(), column.end());
    const double low = column.front().first;
    const double high = column.back().first;
    distances[column.front().second] = std::numeric_limits<double>::infinity();
    distances[column.back().second] = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i + 1 < n; ++i) {
      distances[column[i].second] += share(column[i - 1].first, column[i + 1].first, low, high);
    }
  }
  return distances;
}

}  // namespace lts
