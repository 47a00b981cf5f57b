#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lts/architecture.hpp"

namespace lts {

/// What the cost of an architecture is taken to be a sum of. Amounts are counted from the inventory of weights.
enum class CostTerm : std::uint8_t {
  constant,      ///< 1
  layers,        ///< number of layers
  width,         ///< d_model, summed over the layers: norms and residuals
  attention,     ///< elements of the matrices of attention
  feed_forward,  ///< elements of the matrices of the feed-forward networks
  d_ff,          ///< widths of the feed-forward networks: activations
  heads,         ///< heads of all layers: attention scores
  key_value,     ///< width of the keys of all layers: cache
  biases,        ///< bias vectors of all layers
  output,        ///< multiply-adds of a token outside of the layers: embedding projections and logits
  widest,        ///< largest d_ff: memory is that of the layer that needs most
};
inline constexpr std::size_t n_cost_terms = static_cast<std::size_t>(CostTerm::widest) + 1;

/// In the order of `CostTerm`.
std::span<const std::string_view> cost_term_names() noexcept;

/// The amount of every term. O(n_layer).
std::array<double, n_cost_terms> cost_terms(const Architecture& architecture);

/// A measured cost.
struct CostSample {
  Architecture architecture;
  double value = 0.0;  ///< from 1e-100 to 1e100, in any unit
  double noise = 0.0;  ///< its standard error over its value
};

struct SurrogateOptions {
  /// Also products of two of layers, attention, feed_forward and output: for devices on which costs do not just add.
  bool pairwise = false;
  double level = 0.9;  ///< share of architectures whose cost lies in the interval of its prediction, from 0.5 to 0.99
  /// Coefficients of another device of the same kind, one per term, or nothing. The fit is drawn towards them, scaled,
  /// as strongly as predicts left-out samples best: a few samples are enough then.
  std::vector<double> prior = {};
};

/// A predicted cost with the interval of the level asked for.
struct Prediction {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// How well a fit predicts samples that it has not seen: every one from all the others.
struct SurrogateFit {
  std::vector<double> left_out;  ///< prediction of each sample from the others, in the order of the samples
  std::vector<bool> outlier;     ///< so far off that the fit leaves it out
  double error = 0.0;            ///< mean of |prediction / value - 1| over the samples that are no outliers
  double error_max = 0.0;        ///< the largest of them
};

/// A cost as a sum of terms with coefficients that are not negative, fitted to measurements.
///
/// Least squares of the relative errors, weighted by the noise of the samples, by the active-set method of Lawson and
/// Hanson (1974, chapter 23). Intervals are conformal: the quantile of the errors of predicting every sample from all
/// others, each divided by its standard error in the linear model (jackknife+: Barber et al. 2021, section 1.4).
class Surrogate {
 public:
  /// Everything that predictions need.
  struct State {
    bool pairwise = false;
    double level = 0.9;
    std::uint64_t n_samples = 0;
    double error = 0.0;
    double error_max = 0.0;
    double quantile = 0.0;             ///< of the standardized errors
    std::vector<double> coefficients;  ///< one per feature
    std::vector<double> covariance;    ///< of the coefficients over the variance of the errors, n_features squared
    friend bool operator==(const State&, const State&) = default;
  };

  /// Fits to samples. O(n^2) in their number up to 100, then O(n).
  /// @throws std::invalid_argument: fewer than 3 samples (2 with a prior), a value out of range,
  /// noise that is negative, a level out of range, a prior of the wrong length or with pairwise terms.
  static Surrogate fit(std::span<const CostSample> samples, const SurrogateOptions& options = {},
                       SurrogateFit* quality = nullptr);

  /// @throws std::invalid_argument when the state contradicts itself.
  explicit Surrogate(State state);

  [[nodiscard]] const State& state() const noexcept { return state_; }

  /// The cost, in the unit of the samples. O(n_layer), without allocating.
  [[nodiscard]] double predict(const Architecture& architecture) const;

  /// The cost with its interval, likewise.
  [[nodiscard]] Prediction interval(const Architecture& architecture) const;

 private:
  State state_;
};

/// Features of a surrogate: the terms, and for a pairwise one their products after them. Names such as
/// "layers*output".
std::vector<std::string> surrogate_feature_names(bool pairwise);

}  // namespace lts
