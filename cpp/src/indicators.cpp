#include "lts/indicators.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lts/dominance.hpp"
#include "lts/error.hpp"

namespace lts {

namespace {

using Points = std::span<const double>;

void check(Points points, Points reference, std::size_t n_objectives) {
  check_points(points, n_objectives);
  check_points(reference, n_objectives);
  if (points.empty()) throw_invalid({"points: there are none; a distance needs at least one"});
  if (reference.empty()) throw_invalid({"reference: there are no points; a distance needs at least one"});
}

/// Squares of differences are summed; the difference of equal infinities is none.
double between(double a, double b) noexcept { return a == b ? 0.0 : a - b; }
/// How much the second one is worse.
double worse(double a, double b) noexcept { return a >= b ? 0.0 : b - a; }
/// How much the first one is worse.
double better(double a, double b) noexcept { return worse(b, a); }

/// The mean over `from` of the distance to the nearest of `to`.
template <auto difference>
double mean_distance(Points from, Points to, std::size_t m) {
  double sum = 0.0;
  const std::size_t n = from.size() / m;
  for (std::size_t i = 0; i < from.size(); i += m) {
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < to.size(); j += m) {
      double squares = 0.0;
      for (std::size_t k = 0; k < m; ++k) {
        const double apart = difference(from[i + k], to[j + k]);
        squares += apart * apart;
      }
      nearest = std::min(nearest, squares);
    }
    sum += std::sqrt(nearest);
  }
  return sum / static_cast<double>(n);
}

}  // namespace

double gd(Points points, Points reference, std::size_t n_objectives) {
  check(points, reference, n_objectives);
  return mean_distance<between>(points, reference, n_objectives);
}

double igd(Points points, Points reference, std::size_t n_objectives) {
  check(points, reference, n_objectives);
  return mean_distance<between>(reference, points, n_objectives);
}

double gd_plus(Points points, Points reference, std::size_t n_objectives) {
  check(points, reference, n_objectives);
  return mean_distance<better>(points, reference, n_objectives);
}

double igd_plus(Points points, Points reference, std::size_t n_objectives) {
  check(points, reference, n_objectives);
  return mean_distance<worse>(reference, points, n_objectives);
}

}  // namespace lts
