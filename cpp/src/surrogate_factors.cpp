#include "surrogate_factors.hpp"

#include <cmath>
#include <utility>

namespace lts::detail {

namespace {

// The length of a dependent column's residual, relative to the column's, below which it is a rounding error.
constexpr double kDependent = 1e-9;

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

bool Factors::add(std::span<const double> column) {
  std::vector<double> rest(column.begin(), column.end());
  std::vector<double> above(size_ + 1, 0.0);
  const double length = std::sqrt(dot(rest, rest));
  for (int pass = 0; pass < 2; ++pass) {  // twice is enough (Giraud et al. 2005)
    for (std::size_t k = 0; k < size_; ++k) {
      const double share = dot(basis(k), rest);
      above[k] += share;
      for (std::size_t i = 0; i < n_rows_; ++i) rest[i] -= share * basis(k)[i];
    }
  }
  const double left = std::sqrt(dot(rest, rest));
  if (!(left > kDependent * length)) return false;
  for (double& value : rest) value /= left;
  above[size_] = left;
  basis_.insert(basis_.end(), rest.begin(), rest.end());
  triangle_.push_back(std::move(above));
  ++size_;
  return true;
}

std::vector<double> Factors::solve(std::span<const double> b) const {
  std::vector<double> x(size_);
  std::vector<double> rest(b.begin(), b.end());
  for (std::size_t k = 0; k < size_; ++k) {
    x[k] = dot(basis(k), rest);
    for (std::size_t i = 0; i < n_rows_; ++i) rest[i] -= x[k] * basis(k)[i];
  }
  back_substitute(x);
  return x;
}

std::vector<double> Factors::inverse_column(std::size_t k) const {
  std::vector<double> x(size_, 0.0);
  x[k] = 1;
  back_substitute(x);
  return x;
}

double Factors::leverage(std::size_t row) const {
  double sum = 0;
  for (std::size_t k = 0; k < size_; ++k) sum += basis(k)[row] * basis(k)[row];
  return sum;
}

void Factors::back_substitute(std::vector<double>& x) const {
  for (std::size_t k = size_; k-- > 0;) {
    x[k] /= triangle_[k][k];
    for (std::size_t i = 0; i < k; ++i) x[i] -= triangle_[k][i] * x[k];
  }
}

}  // namespace lts::detail
