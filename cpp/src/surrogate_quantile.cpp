#include "surrogate_quantile.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace lts::detail {

namespace {

constexpr double kPi = 0x1.921fb54442d18p+1;

/// The angle whose tangent is x, which is not negative: halved four times, so that the series converges fast.
double angle_of(double x) {
  constexpr int halvings = 4;
  constexpr int powers = 31;  // the next is below a rounding error, as the tangent is below 0.1
  for (int i = 0; i < halvings; ++i) x /= 1 + std::sqrt(1 + x * x);
  double sum = 0;
  for (int k = powers; k > 0; k -= 2) sum = 1.0 / k - x * x * sum;
  return x * sum * static_cast<double>(1 << halvings);
}

/// The probability that a variable of Student's distribution lies in [-t, t].
double student_probability(double t, int degrees_of_freedom) {
  const double n = degrees_of_freedom;
  const double squared_cosine = n / (n + t * t);
  const double sine = t / std::sqrt(n + t * t);
  const bool odd = degrees_of_freedom % 2 == 1;
  double term = odd ? std::sqrt(squared_cosine) : 1.0;
  double sum = degrees_of_freedom > 1 ? term : 0.0;
  for (int k = odd ? 3 : 2; k < degrees_of_freedom; k += 2) {
    term *= squared_cosine * (k - 1) / k;
    sum += term;
  }
  return odd ? (angle_of(t / std::sqrt(n)) + sine * sum) * 2 / kPi : sine * sum;
}

double student_quantile_of_whole(double level, int degrees_of_freedom) {
  double low = 0;
  double high = 1;
  while (student_probability(high, degrees_of_freedom) < level) high *= 2;
  for (;;) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return high;  // neighbouring numbers
    (student_probability(middle, degrees_of_freedom) < level ? low : high) = middle;
  }
}

/// x to the power of a share from 0 to 1, by its binary digits.
double power_of_share(double x, double share) {
  constexpr int digits = 52;
  double result = 1;
  for (int i = 0; i < digits; ++i) {
    if (share >= 1) {
      result *= x;
      share -= 1;
    }
    x = std::sqrt(x);
    share *= 2;
  }
  return result;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// The value below which a share of new errors lies, from the ranks of those seen; linear between two of them.
double conformal_quantile(std::vector<double> errors, double level) {
  std::sort(errors.begin(), errors.end());
  const double rank = level * static_cast<double>(errors.size() + 1);
  if (rank >= static_cast<double>(errors.size())) return errors.back();
  if (rank <= 1) return errors.front();
  const auto below = static_cast<std::size_t>(rank);
  return errors[below - 1] + (rank - static_cast<double>(below)) * (errors[below] - errors[below - 1]);
}

}  // namespace

double student_quantile(double level, double degrees_of_freedom) {
  const double n = std::max(1.0, degrees_of_freedom);
  const int below = static_cast<int>(n);
  const double wide = student_quantile_of_whole(level, below);
  if (n <= below) return wide;
  const double narrow = student_quantile_of_whole(level, below + 1);
  const double share = (1 / n - 1.0 / (below + 1)) / (1.0 / below - 1.0 / (below + 1));
  return narrow * power_of_share(wide / narrow, share);
}

double independent_errors(std::span<const std::vector<double>> rows) {
  std::vector<double> variances;
  for (const auto& row : rows) variances.push_back(product(row, row));
  double squared_correlations = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    squared_correlations += 1;
    for (std::size_t j = 0; j < i; ++j) {
      const double covariance = product(rows[i], rows[j]);
      squared_correlations += 2 * (covariance / variances[i]) * (covariance / variances[j]);
    }
  }
  const auto n = static_cast<double>(rows.size());
  return std::clamp(n * n / squared_correlations, 1.0, n);
}

double error_quantile(std::vector<double> errors, std::span<const double> weights, double independent, double level) {
  if (level * (independent + 1) <= independent) return conformal_quantile(std::move(errors), level);
  double squares = 0;
  double total = 0;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    squares += weights[i] * weights[i] * errors[i] * errors[i];
    total += weights[i] * weights[i];
  }
  return std::sqrt(squares / total) * student_quantile(level, independent);
}

}  // namespace lts::detail
