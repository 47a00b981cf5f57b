#include "lts/layer_quality.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "lts/cost.hpp"
#include "lts/error.hpp"
#include "surrogate_factors.hpp"
#include "surrogate_quantile.hpp"

namespace lts {

namespace {

using Terms = std::array<double, n_quality_terms>;

constexpr std::array<std::string_view, n_quality_terms> kNames{
    "constant",       "decoder_params",    "inverse_width",    "biases",
    "attention_0",    "feed_forward_0",    "attention_1",      "feed_forward_1",
    "attention_2",    "feed_forward_2",    "attention_3",      "feed_forward_3",
    "attention_last", "feed_forward_last", "attention_second", "feed_forward_second"};
constexpr std::size_t kInverseWidth = 2;
constexpr std::size_t kBiases = 3;
constexpr std::size_t kCurves = 4;
constexpr std::size_t kLast = 12;
constexpr std::size_t kDegrees = (kLast - kCurves) / 2;
constexpr std::size_t kFree = 2;  // terms before it are not penalized

// A term that varies by less than this share of its mean says nothing.
constexpr double kConstant = 1e-6;
constexpr std::size_t kFewest = 4;
constexpr double kLargest = 1e100;
constexpr double kLargestState = 1e150;
// Penalties of the standardized terms that are tried: from the first one on, each so many times the one before it.
constexpr double kFirstPenalty = 1e-3;
constexpr double kStep = 1.7782794100389228;  // the fourth root of 10
constexpr int kPenalties = 29;
// A sample that a fit follows by more than this says nothing of its error.
constexpr double kFollowed = 1 - 1e-9;

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// Samples as a least-squares problem with one more row per penalized column.
class Ridge {
 public:
  Ridge(std::span<const QualitySample> samples, std::int64_t n_layer) : rows_(samples.size()), scale_(), means_() {
    const auto n = static_cast<double>(samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      rows_[i] = quality_terms(samples[i].architecture, n_layer);
      values_.push_back(samples[i].value);
    }
    for (std::size_t j = 1; j < n_quality_terms; ++j) {
      for (const Terms& row : rows_) means_[j] += row[j] / n;
      double squares = 0;
      for (const Terms& row : rows_) squares += (row[j] - means_[j]) * (row[j] - means_[j]);
      scale_[j] = std::sqrt(squares / n);
      if (!(scale_[j] > kConstant * std::abs(means_[j]))) scale_[j] = 0;
    }
    scale_[0] = 1;
  }

  /// A fit with one penalty.
  struct Fit {
    explicit Fit(std::size_t n_rows) : factors(n_rows) {}
    detail::Factors factors;
    std::vector<std::size_t> kept;  ///< terms that do not depend on each other
    std::vector<double> solution;   ///< of standardized terms
    std::vector<double> followed;   ///< by how much each sample moves its own fit
    std::vector<double> left_out;   ///< predictions of each sample from the others
    double squares = 0.0;  ///< mean squared error of these; the largest number where a sample decides its own fit
  };

  [[nodiscard]] Fit fit(double penalty) const {
    const std::size_t n = rows_.size();
    const std::size_t n_rows = n + n_quality_terms - kFree;
    Fit found(n_rows);
    std::vector<double> column(n_rows);
    for (std::size_t j = 0; j < n_quality_terms; ++j) {
      if (!(scale_[j] > 0)) continue;
      std::fill(column.begin(), column.end(), 0.0);
      for (std::size_t i = 0; i < n; ++i) column[i] = standardized(rows_[i], j);
      if (j >= kFree) column[n + j - kFree] = std::sqrt(penalty);
      if (found.factors.add(column)) found.kept.push_back(j);
    }
    std::vector<double> b = values_;
    b.resize(n_rows, 0.0);
    found.solution = found.factors.solve(b);
    for (std::size_t i = 0; i < n; ++i) {
      double predicted = 0;
      for (std::size_t k = 0; k < found.kept.size(); ++k)
        predicted += found.solution[k] * standardized(rows_[i], found.kept[k]);
      const double h = found.factors.leverage(i);
      const double error = (values_[i] - predicted) / (1 - std::min(h, kFollowed));
      found.followed.push_back(h);
      found.left_out.push_back(values_[i] - error);
      found.squares += error * error / static_cast<double>(n);
      if (h >= kFollowed) found.squares = std::numeric_limits<double>::max();
    }
    return found;
  }

  [[nodiscard]] Fit best() const {
    Fit best = fit(kFirstPenalty);
    double penalty = kFirstPenalty;
    for (int i = 1; i < kPenalties; ++i) {
      penalty *= kStep;
      Fit next = fit(penalty);
      if (next.squares <= best.squares) best = std::move(next);  // of equal ones, the simplest
    }
    return best;
  }

  /// Coefficients of the terms as they are counted.
  [[nodiscard]] std::vector<double> coefficients(const Fit& fit) const {
    std::vector<double> all(n_quality_terms, 0.0);
    for (std::size_t k = 0; k < fit.kept.size(); ++k) {
      const std::size_t j = fit.kept[k];
      all[j] += fit.solution[k] / scale_[j];
      if (j > 0) all[0] -= fit.solution[k] * means_[j] / scale_[j];
    }
    return all;
  }

  /// Their covariance over the variance of the errors.
  [[nodiscard]] std::vector<double> covariance(const Fit& fit) const {
    std::vector<double> all(n_quality_terms * n_quality_terms, 0.0);
    for (std::size_t k = 0; k < fit.kept.size(); ++k) {
      // A column of the inverse triangle, in terms of the amounts as they are counted.
      const std::vector<double> inverse = fit.factors.inverse_column(k);
      Terms column{};
      for (std::size_t i = 0; i <= k; ++i) {
        const std::size_t j = fit.kept[i];
        column[j] += inverse[i] / scale_[j];
        if (j > 0) column[0] -= inverse[i] * means_[j] / scale_[j];
      }
      for (std::size_t i = 0; i < n_quality_terms; ++i) {
        for (std::size_t j = 0; j < n_quality_terms; ++j) all[i * n_quality_terms + j] += column[i] * column[j];
      }
    }
    return all;
  }

 private:
  [[nodiscard]] double standardized(const Terms& row, std::size_t j) const { return (row[j] - means_[j]) / scale_[j]; }

  std::vector<Terms> rows_;
  std::vector<double> values_;
  Terms scale_;
  Terms means_;
};

void check(std::span<const QualitySample> samples) {
  if (samples.size() < kFewest) {
    throw_invalid({"layer quality: a fit needs at least ", std::to_string(kFewest), " samples, got ",
                   std::to_string(samples.size())});
  }
  double sum = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double value = samples[i].value;
    if (!(std::abs(value) <= kLargest)) {
      throw_invalid({"layer quality: values[", std::to_string(i), "] is ", std::to_string(value),
                     "; it must be a number from -1e100 to 1e100"});
    }
    sum += value;
  }
  if (!(std::abs(sum) > 0)) throw_invalid({"layer quality: the values have the mean 0; errors are relative to it"});
}

void check(double level, std::int64_t n_layer) {
  if (!(level >= 0.5 && level <= 0.99)) {
    throw_invalid({"layer quality: level is ", std::to_string(level), "; it must be from 0.5 to 0.99"});
  }
  if (n_layer < 0 || n_layer > max_layers) {
    throw_invalid(
        {"layer quality: n_layer is ", std::to_string(n_layer), "; it must be from 0 to ", std::to_string(max_layers)});
  }
}

}  // namespace

std::span<const std::string_view> quality_term_names() noexcept { return kNames; }

std::array<double, n_quality_terms> quality_terms(const Architecture& a, std::int64_t n_layer) {
  Terms amounts{};
  amounts[0] = 1;
  amounts[1] = static_cast<double>(decoder_params(a));
  amounts[kInverseWidth] = 1 / static_cast<double>(a.d_model);
  amounts[kBiases] = cost_terms(a)[static_cast<std::size_t>(CostTerm::biases)];
  const auto d_model = static_cast<double>(a.d_model);
  for (std::int64_t i = 0; i < a.n_layer(); ++i) {
    const Layer& layer = a.layers[static_cast<std::size_t>(i)];
    const std::int64_t after = std::max<std::int64_t>(0, n_layer - 1 - i);
    const double attention =
        0.5 * static_cast<double>((layer.n_head + layer.n_kv_head) * a.width_of_head(layer)) / d_model;
    const double feed_forward = static_cast<double>(layer.d_ff) / d_model;
    const double x = n_layer > 1 ? 1 - 2 * static_cast<double>(after) / static_cast<double>(n_layer - 1) : 1.0;
    const std::array<double, kDegrees> curves{1.0, x, (3 * x * x - 1) / 2, (5 * x * x - 3) * x / 2};
    for (std::size_t k = 0; k < kDegrees; ++k) {
      amounts[kCurves + 2 * k] += curves[k] * attention;
      amounts[kCurves + 2 * k + 1] += curves[k] * feed_forward;
    }
    if (after < 2) {
      const std::size_t at = kLast + 2 * static_cast<std::size_t>(after);
      amounts[at] += attention;
      amounts[at + 1] += feed_forward;
    }
  }
  return amounts;
}

LayerQuality LayerQuality::fit(std::span<const QualitySample> samples, const LayerQualityOptions& options,
                               std::vector<double>* left_out) {
  check(samples);
  check(options.level, options.n_layer);
  std::int64_t n_layer = options.n_layer;
  for (std::size_t i = 0; options.n_layer == 0 && i < samples.size(); ++i)
    n_layer = std::max(n_layer, samples[i].architecture.n_layer());
  const Ridge ridge(samples, n_layer);
  Ridge::Fit best = ridge.best();
  const auto n = static_cast<double>(samples.size());
  State state{.level = options.level, .n_layer = n_layer, .n_samples = samples.size()};
  std::vector<double> errors;
  double followed = 0;
  double sum = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const double error = std::abs(samples[i].value - best.left_out[i]);
    // What predicts a sample from the others errs by 1 / (1 - h) times the variance of the errors.
    errors.push_back(error * std::sqrt(std::max(0.0, 1 - best.followed[i])));
    followed += best.followed[i];
    state.error += error / n;
    sum += samples[i].value;
  }
  state.error /= std::abs(sum / n);
  const std::vector<double> weights(errors.size(), 1.0);
  state.quantile = detail::error_quantile(std::move(errors), weights, std::max(1.0, n - followed), options.level);
  state.coefficients = ridge.coefficients(best);
  state.covariance = ridge.covariance(best);
  if (left_out != nullptr) *left_out = std::move(best.left_out);
  return LayerQuality(std::move(state));
}

LayerQuality::LayerQuality(State state) : state_(std::move(state)) {
  constexpr std::size_t n = n_quality_terms;
  if (state_.coefficients.size() != n || state_.covariance.size() != n * n) {
    throw_invalid({"layer quality: there must be ", std::to_string(n), " coefficients and ", std::to_string(n * n),
                   " numbers of their covariance"});
  }
  check(state_.level, state_.n_layer);
  // Sums of amounts times these are numbers.
  const auto bad = [](double value) { return !(std::abs(value) <= kLargestState); };
  if (std::any_of(state_.coefficients.begin(), state_.coefficients.end(), bad) ||
      std::any_of(state_.covariance.begin(), state_.covariance.end(), bad)) {
    throw_invalid({"layer quality: coefficients and covariance must be from -1e150 to 1e150"});
  }
  if (bad(state_.quantile) || bad(state_.error) || state_.quantile < 0 || state_.error < 0) {
    throw_invalid({"layer quality: quantile and error must be from 0 to 1e150"});
  }
}

double LayerQuality::predict(const Architecture& architecture) const {
  const Terms amounts = quality_terms(architecture, state_.n_layer);
  return dot(state_.coefficients, amounts);
}

Prediction LayerQuality::interval(const Architecture& architecture) const {
  const Terms amounts = quality_terms(architecture, state_.n_layer);
  const double value = dot(state_.coefficients, amounts);
  double leverage = 0;
  for (std::size_t i = 0; i < n_quality_terms; ++i) {
    leverage += amounts[i] * dot({state_.covariance.data() + i * n_quality_terms, n_quality_terms}, amounts);
  }
  const double half = state_.quantile * std::sqrt(1 + std::max(0.0, leverage));
  return {.value = value, .low = value - half, .high = value + half};
}

}  // namespace lts
