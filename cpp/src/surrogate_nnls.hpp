#pragma once

#include <cstddef>
#include <span>
#include <vector>

// Private to surrogate.cpp.
namespace lts::detail {

/// A dense matrix by columns.
struct Columns {
  std::size_t n_rows = 0;
  std::size_t n_columns = 0;
  std::vector<double> values;

  Columns(std::size_t rows, std::size_t columns) : n_rows(rows), n_columns(columns), values(rows * columns) {}
  [[nodiscard]] double& at(std::size_t row, std::size_t column) { return values[column * n_rows + row]; }
  [[nodiscard]] double at(std::size_t row, std::size_t column) const { return values[column * n_rows + row]; }
  [[nodiscard]] std::span<const double> column(std::size_t i) const { return {values.data() + i * n_rows, n_rows}; }
};

/// The x >= 0 that minimizes |A x - b|, by the active-set method of Lawson and Hanson. Among columns that depend on
/// each other, some stay 0.
std::vector<double> nonnegative_least_squares(const Columns& a, std::span<const double> b);

/// The inverse of A^T A over the columns where x is positive, 0 elsewhere; n_columns squared.
std::vector<double> inverse_gram(const Columns& a, std::span<const double> x);

}  // namespace lts::detail
