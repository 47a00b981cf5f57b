#pragma once

#include <span>

namespace lts {

/// Spearman's rank correlation; equal values share the mean of their ranks. O(n log n).
/// @throws std::invalid_argument: fewer than 2 pairs, unequal lengths, a value that is not a number, or a constant.
double spearman(std::span<const double> x, std::span<const double> y);

/// Kendall's tau-b, which corrects for ties (Kendall 1945), by the method of Knight (1966). O(n log n).
/// @throws as `spearman`.
double kendall(std::span<const double> x, std::span<const double> y);

}  // namespace lts
