#include "surrogate_nnls.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "surrogate_factors.hpp"

namespace lts::detail {

namespace {

// The size of a gradient, relative to that of b, below which it is a rounding error.
constexpr double kFlat = 1e-12;

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// The columns whose coefficient may be positive, and the solution so far.
class ActiveSet {
 public:
  ActiveSet(const Columns& a, std::span<const double> b) : x(a.n_columns, 0.0), a_(a), b_(b), refused_(a.n_columns) {
    for (std::size_t j = 0; j < a.n_columns; ++j) lengths_.push_back(std::sqrt(dot(a.column(j), a.column(j))));
  }

  std::vector<double> x;

  /// Adds the column along which the error falls most. False when it falls along none.
  bool enter() {
    const std::vector<double> rest = residual();
    const double flat = kFlat * std::sqrt(dot(b_, b_));
    double steepest = flat;
    entering_ = x.size();
    for (std::size_t j = 0; j < x.size(); ++j) {
      if (refused_[j] || !(lengths_[j] > 0) || std::find(passive_.begin(), passive_.end(), j) != passive_.end())
        continue;
      const double slope = dot(a_.column(j), rest) / lengths_[j];
      if (slope > steepest) {
        steepest = slope;
        entering_ = j;
      }
    }
    if (entering_ == x.size()) return false;
    passive_.push_back(entering_);
    return true;
  }

  /// Moves to the least-squares solution of the columns, leaving out those whose coefficient would become negative.
  void settle() {
    while (!passive_.empty()) {
      Factors factors(a_.n_rows);
      if (!std::all_of(passive_.begin(), passive_.end(), [&](std::size_t j) { return factors.add(a_.column(j)); })) {
        refuse(passive_.size() - 1);  // the one that entered depends on the others
        return;
      }
      if (!advance(factors.solve(b_))) return;
    }
  }

 private:
  /// Moves towards the next solution until a coefficient would be negative. True when one became 0 and was left out.
  bool advance(const std::vector<double>& next) {
    double step = 1;
    std::size_t limiting = next.size();
    for (std::size_t k = 0; k < next.size(); ++k) {
      if (next[k] > 0) continue;
      const double before = x[passive_[k]];
      const double most = before > next[k] ? before / (before - next[k]) : 0.0;
      if (limiting == next.size() || most < step) {
        step = most;
        limiting = k;
      }
    }
    for (std::size_t k = 0; k < next.size(); ++k) x[passive_[k]] += step * (next[k] - x[passive_[k]]);
    if (limiting == next.size()) {
      std::fill(refused_.begin(), refused_.end(), false);
      return false;
    }
    for (std::size_t k = next.size(); k-- > 0;) {
      if (k == limiting || (next[k] <= 0 && x[passive_[k]] <= kFlat * std::abs(next[k]))) refuse(k);
    }
    return true;
  }

  void refuse(std::size_t k) {
    x[passive_[k]] = 0;
    if (passive_[k] == entering_) refused_[entering_] = true;
    passive_.erase(passive_.begin() + static_cast<std::ptrdiff_t>(k));
  }

  [[nodiscard]] std::vector<double> residual() const {
    std::vector<double> rest(b_.begin(), b_.end());
    for (const std::size_t j : passive_) {
      for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= x[j] * a_.at(i, j);
    }
    return rest;
  }

  const Columns& a_;
  std::span<const double> b_;
  std::vector<double> lengths_;
  std::vector<std::size_t> passive_;
  std::vector<bool> refused_;  ///< columns not to try again until the solution changes
  std::size_t entering_ = 0;
};

}  // namespace

std::vector<double> nonnegative_least_squares(const Columns& a, std::span<const double> b) {
  ActiveSet set(a, b);
  // Every column enters at most a few times; the bound only guards against cycles of rounding errors.
  for (std::size_t round = 0; round < 10 * a.n_columns && set.enter(); ++round) set.settle();
  return std::move(set.x);
}

std::vector<double> inverse_gram(const Columns& a, std::span<const double> x) {
  const std::size_t n = a.n_columns;
  Factors factors(a.n_rows);
  std::vector<std::size_t> kept;
  for (std::size_t j = 0; j < n; ++j) {
    if (x[j] > 0 && factors.add(a.column(j))) kept.push_back(j);
  }
  std::vector<double> inverse(n * n, 0.0);
  for (std::size_t k = 0; k < kept.size(); ++k) {  // the sum of the outer products of the columns of R^-1
    const std::vector<double> column = factors.inverse_column(k);
    for (std::size_t i = 0; i <= k; ++i) {
      for (std::size_t j = 0; j <= k; ++j) inverse[kept[i] * n + kept[j]] += column[i] * column[j];
    }
  }
  return inverse;
}

}  // namespace lts::detail
