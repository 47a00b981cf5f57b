#pragma once

#include <span>
#include <vector>

// Private to the core: how wide the intervals of a surrogate are.
namespace lts::detail {

/// The t for which a variable of Student's distribution lies in [-t, t] with the probability `level`, which is below 1.
///
/// Of whole degrees of freedom from the finite sums of Abramowitz and Stegun (1964, 26.7.3 and 26.7.4), exact to within
/// rounding. Between two of them, log t is linear in the reciprocal, which is above the exact t, by at most 4 % for
/// levels up to 0.99. Degrees of freedom below 1 count as 1. Square roots and basic arithmetic only.
double student_quantile(double level, double degrees_of_freedom);

/// How many independent errors tell as much of the variance as errors that depend on each other.
///
/// Each error is a sum of the same independent ones of variance 1, with the coefficients in its row. From 1 to the
/// number of rows; of normal errors the sum of squares, each over its variance, is close to a multiple of chi squared
/// with as many degrees of freedom (Satterthwaite 1946).
double independent_errors(std::span<const std::vector<double>> rows);

/// The value below which the absolute value of a new standardized error lies with the probability `level`.
///
/// A quantile of those seen, conformal, where they tell it: where it is none beyond the largest of `independent`
/// errors. Otherwise, and then for errors that are about normal, from their mean square, in which `weights` say how
/// much each counts, and Student's distribution.
double error_quantile(std::vector<double> errors, std::span<const double> weights, double independent, double level);

}  // namespace lts::detail
