#pragma once

#include <cstddef>
#include <span>
#include <vector>

// Private to surrogate_nnls.cpp and layer_quality.cpp.
namespace lts::detail {

/// Some columns as an orthonormal basis times an upper triangular matrix, by the modified Gram-Schmidt method.
class Factors {
 public:
  explicit Factors(std::size_t n_rows) : n_rows_(n_rows) {}

  /// False when the column depends on those before it; it is then not added.
  bool add(std::span<const double> column);

  /// Coefficients of the columns that make their sum nearest to b.
  [[nodiscard]] std::vector<double> solve(std::span<const double> b) const;

  /// Column `k` of the inverse of the triangle.
  [[nodiscard]] std::vector<double> inverse_column(std::size_t k) const;

  /// The diagonal element of the projection onto the columns: how much a row of b moves its own solution.
  [[nodiscard]] double leverage(std::size_t row) const;

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  [[nodiscard]] std::span<const double> basis(std::size_t k) const { return {basis_.data() + k * n_rows_, n_rows_}; }
  void back_substitute(std::vector<double>& x) const;

  std::size_t n_rows_;
  std::size_t size_ = 0;
  std::vector<double> basis_;
  std::vector<std::vector<double>> triangle_;  ///< by columns
};

}  // namespace lts::detail
