#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lts {

/// Surfaces of the empirical attainment function of sets of points with two objectives, both minimized: for every
/// level, the least points that at least so many of the sets attain, which is to say dominate or equal (Grunert da
/// Fonseca, Fonseca and Hall 2001).
///
/// `points` is row-major, n x 2; `sets` has the number of the set of each point, from 0, in any order, so that there
/// are `n_sets`, of which some may be empty; `levels` are from 1 (the best of all sets) to n_sets (what all of them
/// attain), and the middle one is the median. The surfaces come in the order of the levels, each row-major, ascending
/// in the first objective and descending in the second; empty where fewer sets have points. O(n log n + n (n_sets +
/// levels)) by a sweep along the first objective (Fonseca, Guerreiro, López-Ibáñez and Paquete 2011, "On the
/// computation of the empirical attainment function").
/// @throws std::invalid_argument on NaN, a number of coordinates that is not even, a number of sets that does not fit
/// to the points, a set that is not below n_sets, or a level out of range.
std::vector<std::vector<double>> attainment_surfaces(std::span<const double> points,
                                                     std::span<const std::uint64_t> sets, std::uint64_t n_sets,
                                                     std::span<const std::uint64_t> levels);

}  // namespace lts
