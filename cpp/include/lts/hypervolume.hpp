#pragma once

#include <cstddef>
#include <span>

namespace lts {

/// Volume dominated by the points and bounded by the reference point, all coordinates minimized. Exact up to rounding.
///
/// `points` is row-major, n x reference.size(); points that are not better than the reference everywhere add nothing;
/// dominated and equal points are allowed; a counted coordinate of minus infinity, or overflow, makes it infinite.
/// Dimension sweep: O(n) for 1 objective; O(n log n) for 2 and 3, for 3 with O(n^2) moved memory at worst (Beume et al.
/// 2009, "On the complexity of computing the hypervolume indicator"); O(n^(m-2) log n) for m of 4 and more, by sweeping
/// exclusive contributions (Guerreiro, Fonseca and Emmerich 2012, "A fast dimension-sweep algorithm for the hypervolume
/// indicator in four dimensions", applied recursively).
/// @throws std::invalid_argument on NaN, no objectives, a size that is not a multiple of their number, or a reference
/// that is not finite.
double hypervolume(std::span<const double> points, std::span<const double> reference);

}  // namespace lts
