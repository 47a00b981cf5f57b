#include "lts/pooled.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "lts/error.hpp"
#include "surrogate_fit.hpp"
#include "surrogate_problem.hpp"
#include "surrogate_quantile.hpp"

namespace lts {

using detail::Features;

namespace {

using Devices = std::span<const std::vector<CostSample>>;
using Coefficients = std::vector<double>;

// Samples of which a fit without a prior makes something, and those of one with a prior.
constexpr std::size_t kLeast = 3;
constexpr std::size_t kLeastWithPrior = 2;
// So many samples say more of the errors of predictions than other devices do.
constexpr std::size_t kTellErrors = 5;
// Where it is not known how devices differ: no number is beyond such an interval.
constexpr double kUnbounded = std::numeric_limits<double>::max();
// Squares of factors stay within the range of numbers.
constexpr double kSmallestFactor = 1e-150;
constexpr double kLargestFactor = 1e150;

/// The mean amounts of the terms of all samples: coefficients are relative if they predict 1 for these.
Features mean_amounts(Devices devices) {
  Features mean{};
  double n = 0;
  for (const auto& samples : devices) {
    for (const CostSample& sample : samples) {
      const Features amounts = detail::features(sample.architecture, false);
      ++n;
      for (std::size_t j = 0; j < n_cost_terms; ++j) mean[j] += (amounts[j] - mean[j]) / n;
    }
  }
  return mean;
}

/// Divides by what is predicted for the mean amounts; empty when that is nothing.
Coefficients relative(Coefficients coefficients, const Features& mean) {
  const double scale = detail::dot(coefficients, mean);
  if (!(scale > 0)) return {};
  for (double& coefficient : coefficients) coefficient /= scale;
  return coefficients;
}

/// The mean of relative coefficients, without those of the devices `i` and `j`; empty when there are no others.
Coefficients mean_without(std::span<const Coefficients> all, Devices devices, std::size_t i, std::size_t j) {
  Coefficients mean;
  double total = 0;
  for (std::size_t d = 0; d < all.size(); ++d) {
    if (d == i || d == j || all[d].empty()) continue;
    const auto weight = static_cast<double>(std::min(devices[d].size(), n_cost_terms));
    total += weight;
    mean.resize(n_cost_terms);
    for (std::size_t t = 0; t < n_cost_terms; ++t) mean[t] += (all[d][t] - mean[t]) * (weight / total);
  }
  return mean;
}

/// Fits of all devices but `without`, each drawn towards the mean of the others; `own` are fits without that.
std::vector<Coefficients> drawn(Devices devices, std::span<const Coefficients> own, const Features& mean,
                                std::size_t without) {
  std::vector<Coefficients> result(own.begin(), own.end());
  for (std::size_t d = 0; d < own.size(); ++d) {
    if (d == without || own[d].empty()) continue;
    Coefficients prior = mean_without(own, devices, without, d);
    if (prior.empty()) continue;
    result[d] =
        relative(detail::fitted_coefficients(devices[d], {.prior = std::move(prior), .trust_prior = true}), mean);
  }
  return result;
}

/// Predictions of samples by relative coefficients, in the unit in which half of the samples are above them.
std::vector<double> predictions(std::span<const CostSample> samples, const Coefficients& coefficients) {
  std::vector<double> predicted;
  std::vector<double> ratios;
  for (const CostSample& sample : samples) {
    predicted.push_back(detail::dot(coefficients, detail::features(sample.architecture, false)));
    if (predicted.back() > 0) ratios.push_back(sample.value / predicted.back());
  }
  const double scale = ratios.empty() ? 0.0 : detail::median(std::move(ratios));
  for (double& each : predicted) each *= scale;
  return predicted;
}

/// Errors of predicting samples from other devices, over those of a device whose unit is known; a sample that is
/// predicted to cost nothing has none.
void add_errors(std::span<const CostSample> samples, const std::vector<double>& predicted,
                std::vector<double>& errors) {
  const auto n = static_cast<double>(samples.size());
  const double own_share = std::sqrt(1 - 1 / n);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (predicted[i] > 0) errors.push_back(std::abs(samples[i].value / predicted[i] - 1) / own_share);
  }
}

Surrogate without_samples(const Coefficients& coefficients, const std::vector<double>& errors, double level) {
  Surrogate::State state;
  state.level = level;
  state.coefficients = coefficients;
  state.covariance.assign(n_cost_terms * n_cost_terms, 0.0);
  state.quantile = kUnbounded;
  if (errors.empty()) return Surrogate(std::move(state));
  for (const double error : errors) {
    state.error += error / static_cast<double>(errors.size());
    state.error_max = std::max(state.error_max, error);
  }
  const std::vector<double> equal(errors.size(), 1.0);
  state.quantile = detail::error_quantile(errors, equal, static_cast<double>(errors.size()), level);
  return Surrogate(std::move(state));
}

/// The same for a device whose unit is told by one sample, the error of which is as large as that of the prediction.
Surrogate with_one_sample(const Surrogate& others, const CostSample& sample) {
  const double predicted = others.predict(sample.architecture);
  if (!(predicted > 0)) return others;
  Surrogate::State state = scaled(others, sample.value / predicted).state();
  state.n_samples = 1;
  state.quantile = std::min(state.quantile * std::sqrt(2.0), kUnbounded);
  return Surrogate(std::move(state));
}

/// A fit to the device's own samples. A few of them may lie close to predictions by chance.
Surrogate with_samples(const std::vector<CostSample>& samples, const Coefficients& prior, const Surrogate& others,
                       SurrogateFit& quality) {
  const double level = others.state().level;
  Surrogate surrogate = Surrogate::fit(samples, {.level = level, .prior = prior, .trust_prior = true}, &quality);
  if (samples.size() >= kTellErrors || others.state().quantile == kUnbounded) return surrogate;
  Surrogate::State state = surrogate.state();
  state.quantile = std::max(state.quantile, others.state().quantile);
  return Surrogate(std::move(state));
}

}  // namespace

Surrogate scaled(const Surrogate& surrogate, double factor) {
  if (!(factor >= kSmallestFactor && factor <= kLargestFactor)) {
    throw_invalid({"surrogate: the factor is ", to_text(factor), "; it must be from 1e-150 to 1e150"});
  }
  Surrogate::State state = surrogate.state();
  for (double& coefficient : state.coefficients) coefficient *= factor;
  for (double& covariance : state.covariance) covariance *= factor * factor;
  return Surrogate(std::move(state));
}

Pooled fit_pooled(Devices devices, double level) {
  for (std::size_t d = 0; d < devices.size(); ++d) {
    detail::check_samples(devices[d], "pooled: device " + std::to_string(d) + ", ");
  }
  const std::size_t none = devices.size();
  const Features mean = mean_amounts(devices);
  std::vector<Coefficients> own(devices.size());
  bool any = false;
  for (std::size_t d = 0; d < devices.size(); ++d) {
    if (devices[d].size() < kLeast) continue;
    own[d] = relative(detail::fitted_coefficients(devices[d], {.level = level}), mean);
    any = any || !own[d].empty();
  }
  if (!any) throw_invalid({"pooled: no device has 3 samples or more"});

  std::vector<std::vector<double>> predicted(devices.size());
  std::vector<double> errors;
  for (std::size_t d = 0; d < devices.size(); ++d) {
    const Coefficients others = mean_without(own, devices, d, d);
    if (others.empty()) continue;
    predicted[d] = predictions(devices[d], others);
    if (!own[d].empty()) add_errors(devices[d], predicted[d], errors);
  }
  Pooled result{
      .unmeasured = without_samples(mean_without(drawn(devices, own, mean, none), devices, none, none), errors, level),
      .devices = {}};
  for (std::size_t d = 0; d < devices.size(); ++d) {
    const std::vector<CostSample>& samples = devices[d];
    // Nothing of the device itself comes back to it in what the others share.
    Coefficients prior = mean_without(drawn(devices, own, mean, d), devices, d, d);
    SurrogateFit quality;
    Surrogate surrogate = result.unmeasured;
    if (samples.size() >= kLeastWithPrior) {
      surrogate = with_samples(samples, prior, result.unmeasured, quality);
    } else if (samples.size() == 1) {
      surrogate = with_one_sample(result.unmeasured, samples.front());
    }
    double error = 0;
    for (std::size_t i = 0; i < predicted[d].size(); ++i) {
      error += std::abs(predicted[d][i] / samples[i].value - 1) / static_cast<double>(samples.size());
    }
    result.devices.push_back({.surrogate = std::move(surrogate),
                              .quality = std::move(quality),
                              .prior = std::move(prior),
                              .from_others = std::move(predicted[d]),
                              .error_from_others = error});
  }
  return result;
}

}  // namespace lts
