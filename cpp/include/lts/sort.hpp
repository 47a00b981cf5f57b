#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lts {

/// Front number of every point, 0 for the non-dominated ones; equal points share a front.
///
/// `points` is row-major, n x n_objectives, minimized. Fronts are found by bisection (ENS-BS; Zhang et al. 2015, "An
/// efficient approach to nondominated sorting for evolutionary multiobjective optimization"): O(n log^2 n) comparisons
/// for up to 3 objectives, with O(n^2) moved memory at worst; O(n^2 m) at worst for more.
/// @throws std::invalid_argument on NaN, no objectives, or a size that is not a multiple of their number.
std::vector<std::uint32_t> nondominated_sort(std::span<const double> points, std::size_t n_objectives);

/// Indices of the non-dominated points, ascending; among equal points the first stays. O(n log n) comparisons for up to
/// 3 objectives (Kung, Luccio and Preparata 1975, "On finding the maxima of a set of vectors"), O(n^2 m) at worst for
/// more.
/// @throws as `nondominated_sort`.
std::vector<std::size_t> nondominated_indices(std::span<const double> points, std::size_t n_objectives);

/// Crowding distance of every point of one front (Deb et al. 2002, "A fast and elitist multiobjective genetic
/// algorithm: NSGA-II"): infinite at both extremes of each objective (among equal extremes, at the first and the last
/// point); never NaN. O(m n log n). @throws as `nondominated_sort`.
std::vector<double> crowding_distance(std::span<const double> points, std::size_t n_objectives);

}  // namespace lts
