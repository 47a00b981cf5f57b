#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "lts/surrogate.hpp"
#include "surrogate_nnls.hpp"

// Private to surrogate*.cpp and pooled.cpp.
namespace lts::detail {

constexpr std::array kPaired{CostTerm::layers, CostTerm::attention, CostTerm::feed_forward, CostTerm::output};
constexpr std::size_t kPairs = kPaired.size() * (kPaired.size() + 1) / 2;
constexpr std::size_t kMaxFeatures = n_cost_terms + kPairs;

/// The amounts that coefficients are for: of the terms and of products of two; the rest is 0.
using Features = std::array<double, kMaxFeatures>;

constexpr std::size_t n_features(bool pairwise) { return pairwise ? kMaxFeatures : n_cost_terms; }

inline Features features(const Architecture& architecture, bool pairwise) {
  Features all{};
  const auto terms = cost_terms(architecture);
  std::copy(terms.begin(), terms.end(), all.begin());
  if (!pairwise) return all;
  std::size_t next = n_cost_terms;
  for (std::size_t i = 0; i < kPaired.size(); ++i) {
    for (std::size_t j = i; j < kPaired.size(); ++j) {
      all[next++] = terms[static_cast<std::size_t>(kPaired[i])] * terms[static_cast<std::size_t>(kPaired[j])];
    }
  }
  return all;
}

inline double dot(std::span<const double> coefficients, const Features& amounts) {
  double sum = 0;
  for (std::size_t i = 0; i < coefficients.size(); ++i) sum += coefficients[i] * amounts[i];
  return sum;
}

/// The variance of a prediction that comes from the coefficients, over the variance of the errors.
inline double leverage(std::span<const double> covariance, std::size_t n, const Features& amounts, double predicted) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) {
    double inner = 0;
    for (std::size_t j = 0; j < n; ++j) inner += covariance[i * n + j] * amounts[j];
    sum += amounts[i] * inner;
  }
  return std::max(0.0, sum / (predicted * predicted));
}

double median(std::vector<double> values);

/// The samples as a least-squares problem: weighted rows of amounts over the value, which should sum to 1.
class Problem {
 public:
  /// @throws std::invalid_argument when the prior predicts nothing.
  Problem(std::span<const CostSample> samples, const SurrogateOptions& options);

  [[nodiscard]] std::size_t size() const { return rows_.size(); }
  [[nodiscard]] std::size_t width() const { return n_; }
  [[nodiscard]] double value(std::size_t i) const { return values_[i]; }
  [[nodiscard]] const Features& row(std::size_t i) const { return rows_[i]; }
  [[nodiscard]] double weight(std::size_t i) const { return weights_[i]; }
  [[nodiscard]] bool has_prior() const { return !prior_.empty(); }
  [[nodiscard]] bool trusts_prior() const { return trusts_prior_; }
  [[nodiscard]] double predict(std::span<const double> x, std::size_t i) const { return dot(x, rows_[i]); }

  /// Coefficients from the samples that are kept, drawn towards the prior.
  [[nodiscard]] std::vector<double> solve(const std::vector<bool>& kept, double pull) const;

  /// Covariance of the coefficients over the variance of the errors.
  [[nodiscard]] std::vector<double> covariance(const std::vector<bool>& kept, double pull,
                                               std::span<const double> x) const;

  /// What the error of predicting sample `i` from those that are kept is made of: coefficients of the weighted errors
  /// of all samples, then of those of the prior, all with the same variance.
  [[nodiscard]] std::vector<double> parts_of_error(std::size_t i, const std::vector<bool>& kept, double pull,
                                                   std::span<const double> covariance) const;

 private:
  struct System {
    Columns a;
    std::vector<double> b;
    std::vector<double> norms;  ///< norms of the columns before they were scaled to 1
  };

  /// How much slower this device is than that of the prior: the median over the samples that are kept.
  [[nodiscard]] double scale_of(const std::vector<bool>& kept) const;
  [[nodiscard]] System system(const std::vector<bool>& kept, double pull) const;

  std::size_t n_;
  std::vector<Features> rows_;
  std::vector<double> values_;
  std::vector<double> weights_;
  std::vector<double> prior_;
  bool trusts_prior_;
};

}  // namespace lts::detail
