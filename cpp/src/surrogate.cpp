#include "lts/surrogate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "lts/cost.hpp"
#include "lts/error.hpp"
#include "lts/weights.hpp"
#include "surrogate_problem.hpp"

namespace lts {

using detail::Features;
using detail::features;
using detail::kPaired;
using detail::leverage;
using detail::n_features;

namespace {

constexpr std::array<std::string_view, n_cost_terms> kNames{"constant",     "layers", "width", "attention",
                                                            "feed_forward", "d_ff",   "heads", "key_value",
                                                            "biases",       "output", "widest"};

// Predictions saturate, so that they are always numbers.
constexpr double kLargestPrediction = std::numeric_limits<double>::max();

/// The cost that the coefficients predict.
double sum_of(std::span<const double> coefficients, const Features& amounts) {
  return std::min(detail::dot(coefficients, amounts), kLargestPrediction);
}

}  // namespace

std::span<const std::string_view> cost_term_names() noexcept { return kNames; }

std::vector<std::string> surrogate_feature_names(bool pairwise) {
  std::vector<std::string> names(kNames.begin(), kNames.end());
  if (!pairwise) return names;
  for (std::size_t i = 0; i < kPaired.size(); ++i) {
    for (std::size_t j = i; j < kPaired.size(); ++j) {
      names.push_back(std::string(kNames[static_cast<std::size_t>(kPaired[i])]) + "*" +
                      std::string(kNames[static_cast<std::size_t>(kPaired[j])]));
    }
  }
  return names;
}

std::array<double, n_cost_terms> cost_terms(const Architecture& a) {
  std::array<double, n_cost_terms> amounts{};
  const auto add = [&amounts](CostTerm term, std::int64_t amount) {
    amounts[static_cast<std::size_t>(term)] += static_cast<double>(amount);
  };
  add(CostTerm::constant, 1);
  std::int64_t widest = 0;
  for (const Layer& layer : a.layers) {
    const double parts = (layer.n_head > 0 ? 0.5 : 0.0) + (layer.d_ff > 0 ? 0.5 : 0.0);
    amounts[static_cast<std::size_t>(CostTerm::layers)] += parts;
    amounts[static_cast<std::size_t>(CostTerm::width)] += parts * static_cast<double>(a.d_model);
    visit_layer_weights(a, layer, 0, [&](const Weight& w) {
      if (w.kind == WeightKind::bias) add(CostTerm::biases, 1);
      if (w.kind != WeightKind::matrix) return;
      add(is_attention(w.role) ? CostTerm::attention : CostTerm::feed_forward, w.size());
      if (w.role == Role::key) add(CostTerm::key_value, w.cols);
    });
    add(CostTerm::d_ff, layer.d_ff);
    add(CostTerm::heads, layer.n_head);
    widest = std::max(widest, layer.d_ff);
  }
  amounts[static_cast<std::size_t>(CostTerm::output)] = output_multiply_adds(a);
  add(CostTerm::widest, widest);
  return amounts;
}

Surrogate::Surrogate(State state) : state_(std::move(state)) {
  const std::size_t n = n_features(state_.pairwise);
  if (state_.coefficients.size() != n || state_.covariance.size() != n * n) {
    throw_invalid({"surrogate: there must be ", std::to_string(n), " coefficients and ", std::to_string(n * n),
                   " numbers of their covariance"});
  }
  if (!(state_.level >= 0.5 && state_.level <= 0.99)) {
    throw_invalid({"surrogate: level is ", std::to_string(state_.level), "; it must be from 0.5 to 0.99"});
  }
  const auto bad = [](double value) { return !std::isfinite(value) || value < 0; };
  if (std::any_of(state_.coefficients.begin(), state_.coefficients.end(), bad) || bad(state_.quantile) ||
      bad(state_.error) || bad(state_.error_max)) {
    throw_invalid({"surrogate: coefficients, quantile and errors must be finite and not negative"});
  }
  for (const double value : state_.covariance) {
    if (!std::isfinite(value)) throw_invalid({"surrogate: the covariance must be finite"});
  }
}

double Surrogate::predict(const Architecture& architecture) const {
  return sum_of(state_.coefficients, features(architecture, state_.pairwise));
}

Prediction Surrogate::interval(const Architecture& architecture) const {
  const Features amounts = features(architecture, state_.pairwise);
  const double value = sum_of(state_.coefficients, amounts);
  if (!(value > 0)) return {value, 0.0, value};
  const double h = leverage(state_.covariance, state_.coefficients.size(), amounts, value);
  const double half = value * state_.quantile * std::sqrt(1 + h);
  if (!std::isfinite(half)) return {.value = value, .low = 0.0, .high = kLargestPrediction};  // nothing is known
  return {.value = value, .low = std::max(0.0, value - half), .high = std::min(value + half, kLargestPrediction)};
}

}  // namespace lts
