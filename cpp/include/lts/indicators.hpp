#pragma once

#include <cstddef>
#include <span>

namespace lts {

// How far an approximation of a front is from a reference front, all coordinates minimized: means of the Euclidean
// distance of each point of one to the nearest of the other. Both are row-major, n x m and r x m, at least one point
// each, dominated and equal points allowed. A coordinate may be infinite: two that are equal are 0 apart. O(n r m).
// All throw std::invalid_argument on NaN, no points, no objectives, or sizes that are no multiples of their number.

/// Generational distance: from the points to the reference (Van Veldhuizen and Lamont 1998), averaged as by Schütze et
/// al. 2012, "Using the averaged Hausdorff distance as a performance measure", with p = 1. Zero for points that are all
/// on the reference front; what they leave out, it does not see.
double gd(std::span<const double> points, std::span<const double> reference, std::size_t n_objectives);

/// Inverted generational distance: from the reference to the points (Coello Coello and Reyes Sierra 2004), averaged as
/// `gd`. Zero for points that have all of the reference front among them.
double igd(std::span<const double> points, std::span<const double> reference, std::size_t n_objectives);

/// `gd` of the amounts alone by which a point is worse than the reference (Ishibuchi et al. 2015, "Modified distance
/// calculation in generational distance and inverted generational distance"). Unlike `gd` weakly Pareto compliant.
double gd_plus(std::span<const double> points, std::span<const double> reference, std::size_t n_objectives);

/// `igd` of the amounts alone by which a point is worse than the reference (same source). Weakly Pareto compliant.
double igd_plus(std::span<const double> points, std::span<const double> reference, std::size_t n_objectives);

}  // namespace lts
