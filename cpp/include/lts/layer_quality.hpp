#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lts/architecture.hpp"
#include "lts/surrogate.hpp"

namespace lts {

/// Sums over the layers that model the quality of sub-networks of one super-network, in the order of the coefficients.
///
/// A layer counts with the widths of its two parts over d_model: half the sum of its heads and key-value heads times
/// their width, and d_ff. Curves are Legendre polynomials of the layer's place in the super-network, from -1 for its
/// first layer to 1 for its last; sub-networks of fewer layers have the first ones.
inline constexpr std::size_t n_quality_terms = 16;

/// Names of the terms: "constant", "decoder_params", "inverse_width" (1 / d_model), "biases", "attention_0" to
/// "feed_forward_3" of the curves by degree, "attention_last" and "feed_forward_last", "attention_second" and
/// "feed_forward_second" of the last two layers of the super-network.
std::span<const std::string_view> quality_term_names() noexcept;

/// The amount of every term, in a super-network of `n_layer` layers; any beyond it counts as being at its end.
/// O(n_layer).
std::array<double, n_quality_terms> quality_terms(const Architecture& architecture, std::int64_t n_layer);

/// An evaluated quality, in any unit, such as perplexity.
struct QualitySample {
  Architecture architecture;
  double value = 0.0;
};

struct LayerQualityOptions {
  double level = 0.9;        ///< share of architectures whose quality lies in the predicted interval, from 0.5 to 0.99
  std::int64_t n_layer = 0;  ///< layers of the super-network; 0: of the deepest sample
};

/// Quality as a sum over layers whose worth changes smoothly with their place, fitted to few evaluations.
///
/// For sub-networks of one trained super-network, in which it matters where heads and channels are. Models that are
/// trained from scratch even that out: there decoder parameters alone rank no worse.
///
/// Ridge regression (Hoerl and Kennard 1970) of standardized terms, of which the constant and decoder_params are free.
/// The penalty is that with the least squared error of predicting every sample from the others, in closed form (PRESS:
/// Allen 1974). Intervals are from these errors, each over its standard error in the linear model: their quantile, or
/// Student's where there are too few of them, as for `Surrogate`.
class LayerQuality {
 public:
  /// Everything that predictions need.
  struct State {
    double level = 0.9;        ///< share of architectures whose quality lies in the interval, from 0.5 to 0.99
    std::int64_t n_layer = 1;  ///< layers of the super-network
    std::uint64_t n_samples = 0;
    double error = 0.0;                     ///< mean error of predicting samples from the others, over their mean value
    double quantile = 0.0;                  ///< of the absolute standardized errors of new predictions, in the unit
    std::vector<double> coefficients = {};  ///< one per term
    std::vector<double> covariance = {};    ///< of the coefficients, over error variance: n_quality_terms squared
    friend bool operator==(const State&, const State&) = default;
  };

  /// Fits to samples. O(n) in their number.
  /// @param left_out when given, the prediction of each sample from the others
  /// @throws std::invalid_argument: fewer than 4 samples, a value that is not finite or beyond 1e100, samples whose
  /// mean value is 0, a level or number of layers out of range.
  static LayerQuality fit(std::span<const QualitySample> samples, const LayerQualityOptions& options = {},
                          std::vector<double>* left_out = nullptr);

  /// @throws std::invalid_argument when the state contradicts itself.
  explicit LayerQuality(State state);

  [[nodiscard]] const State& state() const noexcept { return state_; }

  /// The quality, in the unit of the samples. O(n_layer), without allocating.
  [[nodiscard]] double predict(const Architecture& architecture) const;

  /// The quality with its interval, in the same unit and without allocating.
  [[nodiscard]] Prediction interval(const Architecture& architecture) const;

 private:
  State state_;
};

}  // namespace lts
