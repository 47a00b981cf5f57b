#include "surrogate_problem.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lts/error.hpp"

namespace lts::detail {

namespace {

// Relative errors below this are not worth weighting samples for.
constexpr double kBaseNoise = 0.01;
// Squares of weights stay within the range of numbers.
constexpr double kMostNoise = 1e100;

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Problem::Problem(std::span<const CostSample> samples, const SurrogateOptions& options)
    : n_(n_features(options.pairwise)), prior_(options.prior), trusts_prior_(options.trust_prior) {
  for (const CostSample& sample : samples) {
    rows_.push_back(features(sample.architecture, options.pairwise));
    values_.push_back(sample.value);
    const double noise = std::min(sample.noise / kBaseNoise, kMostNoise);
    weights_.push_back(1 / std::sqrt(1 + noise * noise));
  }
  if (!prior_.empty() && !(scale_of(std::vector<bool>(size(), true)) > 0)) {
    throw_invalid({"surrogate: the prior predicts no cost above 0 for any sample"});
  }
}

std::vector<double> Problem::solve(const std::vector<bool>& kept, double pull) const {
  const auto [a, b, norms] = system(kept, pull);
  std::vector<double> x = nonnegative_least_squares(a, b);
  for (std::size_t j = 0; j < n_; ++j) x[j] = norms[j] > 0 ? x[j] / norms[j] : 0.0;
  return x;
}

std::vector<double> Problem::covariance(const std::vector<bool>& kept, double pull, std::span<const double> x) const {
  const auto [a, b, norms] = system(kept, pull);
  std::vector<double> inverse = inverse_gram(a, x);
  for (std::size_t i = 0; i < n_; ++i) {
    for (std::size_t j = 0; j < n_; ++j) {
      const double scale = norms[i] * norms[j];
      inverse[i * n_ + j] = scale > 0 ? inverse[i * n_ + j] / scale : 0.0;
    }
  }
  return inverse;
}

std::vector<double> Problem::parts_of_error(std::size_t i, const std::vector<bool>& kept, double pull,
                                            std::span<const double> covariance) const {
  std::vector<double> responses(n_, 0.0);  // of the coefficients, times the amounts of the sample
  for (std::size_t r = 0; r < n_; ++r) {
    for (std::size_t c = 0; c < n_; ++c) responses[r] += covariance[r * n_ + c] * rows_[i][c];
    responses[r] *= weights_[i] / values_[i];
  }
  std::vector<double> parts(size() + n_, 0.0);
  for (std::size_t j = 0; j < size(); ++j) {
    if (kept[j]) parts[j] = -dot(responses, rows_[j]) * weights_[j] / values_[j];
  }
  parts[i] += 1;
  if (!has_prior()) return parts;
  for (std::size_t r = 0; r < n_; ++r) {
    double sum = 0;
    for (std::size_t j = 0; j < size(); ++j) {
      const double amount = kept[j] ? weights_[j] * rows_[j][r] / values_[j] : 0.0;
      sum += amount * amount;
    }
    parts[size() + r] = -responses[r] * std::sqrt(pull * sum);
  }
  return parts;
}

double Problem::scale_of(const std::vector<bool>& kept) const {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < size(); ++i) {
    const double predicted = dot(prior_, rows_[i]);
    if (kept[i] && predicted > 0) ratios.push_back(values_[i] / predicted);
  }
  return ratios.empty() ? 0.0 : median(std::move(ratios));
}

Problem::System Problem::system(const std::vector<bool>& kept, double pull) const {
  const auto m = static_cast<std::size_t>(std::count(kept.begin(), kept.end(), true));
  const bool drawn = has_prior() && pull > 0;
  const double scale = drawn ? scale_of(kept) : 0.0;
  System s{Columns(m + (drawn ? n_ : 0), n_), std::vector<double>(m + (drawn ? n_ : 0), 0.0),
           std::vector<double>(n_, 0.0)};
  std::size_t row = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    if (!kept[i]) continue;
    for (std::size_t j = 0; j < n_; ++j) s.a.at(row, j) = weights_[i] * rows_[i][j] / values_[i];
    s.b[row++] = weights_[i];
  }
  for (std::size_t j = 0; j < n_; ++j) {
    double sum = 0;
    for (std::size_t i = 0; i < m; ++i) sum += s.a.at(i, j) * s.a.at(i, j);
    s.norms[j] = std::sqrt(sum);
    if (!(s.norms[j] > 0)) continue;
    for (std::size_t i = 0; i < m; ++i) s.a.at(i, j) /= s.norms[j];
    if (!drawn) continue;
    s.a.at(m + j, j) = std::sqrt(pull);
    s.b[m + j] = std::sqrt(pull) * scale * prior_[j] * s.norms[j];
  }
  return s;
}

}  // namespace lts::detail
