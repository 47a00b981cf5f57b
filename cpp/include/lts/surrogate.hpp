#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lts/architecture.hpp"

namespace lts {

/// The terms whose sum models the cost of an architecture. Their amounts are counted from the inventory of weights.
enum class CostTerm : std::uint8_t {
  constant,      ///< 1
  layers,        ///< number of layers
  width,         ///< d_model summed over the layers: norms and residuals
  attention,     ///< elements of the matrices of attention
  feed_forward,  ///< elements of the matrices of the feed-forward networks
  d_ff,          ///< widths of the feed-forward networks: activations
  heads,         ///< heads of all layers: attention scores
  key_value,     ///< width of the keys of all layers: cache
  biases,        ///< bias vectors of all layers
  output,        ///< multiply-adds of a token outside of the layers: embedding projections and logits
  widest,        ///< largest d_ff: peak memory depends on the layer that needs most
};
inline constexpr std::size_t n_cost_terms = static_cast<std::size_t>(CostTerm::widest) + 1;

/// Names of the terms, in the order of `CostTerm`.
std::span<const std::string_view> cost_term_names() noexcept;

/// The amount of every term. O(n_layer).
std::array<double, n_cost_terms> cost_terms(const Architecture& architecture);

/// A measured cost.
struct CostSample {
  Architecture architecture;
  double value = 0.0;  ///< from 1e-100 to 1e100, in any unit
  double noise = 0.0;  ///< its standard error, relative to the value
};

struct SurrogateOptions {
  /// Also products of two of layers, attention, feed_forward and output: for devices where costs do not simply add up.
  bool pairwise = false;
  double level = 0.9;  ///< share of architectures whose cost lies in the predicted interval, from 0.5 to 0.99
  /// Coefficients of another device of the same kind, one per term, or empty. The fit is drawn towards them, scaled, as
  /// strongly as predicts left-out samples best; a few samples then suffice.
  std::vector<double> prior = {};
  /// Of the strengths, the strongest that is worse than the best by no more than a standard error, rather than the
  /// best: for a prior of several devices.
  bool trust_prior = false;
};

/// A predicted cost with the interval of the level asked for.
struct Prediction {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// How well a fit predicts samples that it has not seen: each from all the others.
struct SurrogateFit {
  std::vector<double> left_out;  ///< prediction of each sample from the others, in the order of the samples
  std::vector<bool> outlier;     ///< whether each sample is so far off that the fit leaves it out
  double error = 0.0;            ///< mean of |prediction / value - 1| over the samples that are no outliers
  double error_max = 0.0;        ///< the largest of them
};

/// A cost as a sum of terms with coefficients that are not negative, fitted to measurements.
///
/// Least squares of the relative errors, weighted by the noise of the samples, by the active-set method of Lawson and
/// Hanson (1974, chapter 23). Intervals are conformal: the quantile of the errors of predicting every sample from all
/// others, each divided by its standard error in the linear model (jackknife+: Barber et al. 2021, section 1.4). Where
/// these errors, which depend on each other, are worth too few independent ones to have that quantile, it is Student's
/// for as many degrees of freedom (Satterthwaite 1946) times their root mean square. With a prior and up to 30 samples,
/// the strength of the pull is chosen without the sample that is left out (nested cross-validation: Varma and Simon
/// 2006).
class Surrogate {
 public:
  /// Everything that predictions need.
  struct State {
    bool pairwise = false;
    double level = 0.9;
    std::uint64_t n_samples = 0;
    double error = 0.0;
    double error_max = 0.0;
    double quantile = 0.0;             ///< of the absolute standardized errors of new predictions
    std::vector<double> coefficients;  ///< one per feature
    std::vector<double> covariance;    ///< covariance of the coefficients over error variance, n_features squared
    friend bool operator==(const State&, const State&) = default;
  };

  /// Fits to samples. O(n^3) in their number up to 100, then O(n).
  /// @throws std::invalid_argument: fewer than 3 samples (2 with a prior), a value out of range,
  /// noise that is negative, a level out of range, a prior of the wrong length or with pairwise terms.
  static Surrogate fit(std::span<const CostSample> samples, const SurrogateOptions& options = {},
                       SurrogateFit* quality = nullptr);

  /// @throws std::invalid_argument when the state contradicts itself.
  explicit Surrogate(State state);

  [[nodiscard]] const State& state() const noexcept { return state_; }

  /// The cost, in the unit of the samples. O(n_layer), without allocating.
  [[nodiscard]] double predict(const Architecture& architecture) const;

  /// The cost with its interval, in the same unit and without allocating.
  [[nodiscard]] Prediction interval(const Architecture& architecture) const;

 private:
  State state_;
};

/// Names of a surrogate's features: the terms and, if it is pairwise, their products, such as "layers*output".
std::vector<std::string> surrogate_feature_names(bool pairwise);

}  // namespace lts
