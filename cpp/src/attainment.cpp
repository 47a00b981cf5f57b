#include "lts/attainment.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>

#include "lts/dominance.hpp"
#include "lts/error.hpp"

namespace lts {

namespace {

void check(std::span<const double> points, std::span<const std::uint64_t> sets, std::uint64_t n_sets,
           std::span<const std::uint64_t> levels) {
  check_points(points, 2);
  if (sets.size() != points.size() / 2) {
    throw_invalid({"sets: ", std::to_string(sets.size()), " numbers for ", std::to_string(points.size() / 2),
                   " points; each point needs the number of its set"});
  }
  for (const std::uint64_t set : sets) {
    if (set >= n_sets) {
      throw_invalid({"sets: ", std::to_string(set), " is no set; there are ", std::to_string(n_sets), ", from 0"});
    }
  }
  for (const std::uint64_t level : levels) {
    if (level >= 1 && level <= n_sets) continue;
    throw_invalid({"levels: ", std::to_string(level), " is out of range; a level is from 1 to the number of sets, ",
                   std::to_string(n_sets)});
  }
}

}  // namespace

std::vector<std::vector<double>> attainment_surfaces(std::span<const double> points,
                                                     std::span<const std::uint64_t> sets, std::uint64_t n_sets,
                                                     std::span<const std::uint64_t> levels) {
  check(points, sets, n_sets, levels);
  std::vector<std::size_t> order(sets.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return points[2 * a] < points[2 * b]; });

  std::vector<std::optional<double>> lowest(
      static_cast<std::size_t>(n_sets));  // second objective of each set, up to here
  std::vector<double> sorted;             // the same of all sets that have one, ascending
  std::vector<std::vector<double>> surfaces(levels.size());
  for (std::size_t i = 0; i < order.size();) {
    const double x = points[2 * order[i]];
    for (; i < order.size() && points[2 * order[i]] == x; ++i) {
      const double y = points[2 * order[i] + 1];
      std::optional<double>& known = lowest[static_cast<std::size_t>(sets[order[i]])];
      if (known && *known <= y) continue;
      if (known) sorted.erase(std::lower_bound(sorted.begin(), sorted.end(), *known));
      sorted.insert(std::upper_bound(sorted.begin(), sorted.end(), y), y);
      known = y;
    }
    for (std::size_t k = 0; k < levels.size(); ++k) {
      if (sorted.size() < levels[k]) continue;
      const double y = sorted[static_cast<std::size_t>(levels[k] - 1)];
      if (surfaces[k].empty() || y < surfaces[k].back()) surfaces[k].insert(surfaces[k].end(), {x, y});
    }
  }
  return surfaces;
}

}  // namespace lts
