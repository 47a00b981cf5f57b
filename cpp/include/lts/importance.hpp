#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lts/architecture.hpp"
#include "lts/surrogate.hpp"

namespace lts {

/// What a pretrained model loses by keeping less of it: a loss by layer, part and level, which add up.
///
/// A sub-network keeps of the attention of a layer some heads, and of its feed-forward network some channels; its loss
/// over the original's is the sum of what is in the table, or, once losses of some sub-networks were measured, that of
/// attention and that of feed-forward networks times a scale each.
class LossTable {
 public:
  struct Attention {
    std::int64_t layer = 0;  ///< from 0
    std::int64_t n_head = 0;
    std::int64_t n_kv_head = 0;
    double loss = 0.0;      ///< over the original's, not negative
    double variance = 0.0;  ///< of the loss, not negative
    friend bool operator==(const Attention&, const Attention&) = default;
  };
  struct FeedForward {
    std::int64_t layer = 0;
    std::int64_t d_ff = 0;
    double loss = 0.0;
    double variance = 0.0;
    friend bool operator==(const FeedForward&, const FeedForward&) = default;
  };
  /// What measured losses say of the sums.
  ///
  /// With the sums A of attention and F of feed-forward networks, a measured loss is modeled as
  /// attention_scale A + feed_forward_scale F + e, where the error e has a variance of error^2 V: V is the sum of the
  /// variances in the table, or (A + F)^2 where that has none. That is the line of loss / (A + F) over the balance
  /// (A - F) / (A + F), of samples with weights (A + F)^2 / V.
  struct Fit {
    std::uint64_t n_samples = 0;  ///< 0: nothing was measured; else at least 3
    double attention_scale = 1.0;
    double feed_forward_scale = 1.0;
    double error = 0.0;    ///< standard deviation of e / sqrt(V)
    double weight = 0.0;   ///< of all samples; above 0 where there are some
    double balance = 0.0;  ///< mean of the samples
    double spread = 0.0;   ///< sum of the squared deviations from it; 0: both scales are one
    friend bool operator==(const Fit&, const Fit&) = default;
  };
  /// Everything that predictions need.
  struct State {
    double level = 0.9;  ///< share of sub-networks whose loss lies in the interval, from 0.5 to 0.99
    std::vector<Attention> attention = {};
    std::vector<FeedForward> feed_forward = {};
    Fit fit = {};
    friend bool operator==(const State&, const State&) = default;
  };

  /// Rows may come in any order; every layer from 0 to the last needs one of both parts. O(rows log rows).
  /// @throws std::invalid_argument naming the row: a number out of range, one that comes twice, a layer without rows;
  /// or what contradicts itself in the fit.
  explicit LossTable(State state);

  /// With the rows in order: by layer, then by level.
  [[nodiscard]] const State& state() const noexcept { return state_; }
  [[nodiscard]] std::int64_t n_layer() const noexcept { return static_cast<std::int64_t>(attention_begin_.size()) - 1; }

  /// The loss of one part, scaled. O(log rows). @throws std::invalid_argument when the table lacks it.
  [[nodiscard]] double attention_loss(std::size_t layer, std::int64_t n_head, std::int64_t n_kv_head) const;
  [[nodiscard]] double feed_forward_loss(std::size_t layer, std::int64_t d_ff) const;

  /// The same table, fitted to the measured losses of sub-networks. Those that lose nothing by the table, such as the
  /// original, or surely, where it has variances, are left out, and of the others there must be at least 3.
  ///
  /// Weighted least squares in closed form, see `Fit`; where a scale would be negative it is 0. O(samples * n_layer).
  /// @throws std::invalid_argument: too few samples, as many values, a value that is not finite or values whose sum is
  /// not above 0, a level out of range; or what the table lacks.
  [[nodiscard]] LossTable refit(std::span<const Architecture> architectures, std::span<const double> losses,
                                double level = 0.9) const;

  /// The loss over the original's. O(n_layer log rows), without allocating.
  /// @throws std::invalid_argument naming what the table lacks: a level, or the number of layers.
  [[nodiscard]] double predict(const Architecture& architecture) const;

  /// The loss with its interval, from 0 on: of the variances in the table, normal; or, once fitted, of these times what
  /// the errors of the samples are of theirs, Student's (Draper and Smith 1998, section 3.1). Without allocating.
  /// @throws as `predict`.
  [[nodiscard]] Prediction interval(const Architecture& architecture) const;

 private:
  struct Sums {
    double attention = 0.0;
    double feed_forward = 0.0;
    double variance = 0.0;
    [[nodiscard]] double total() const noexcept;
  };
  /// The variance of a loss over the square of its error in a fit: in the table's unit.
  [[nodiscard]] double variance_of(const Sums& sums) const noexcept;
  [[nodiscard]] const Attention& row_of(std::size_t layer, std::int64_t n_head, std::int64_t n_kv_head) const;
  [[nodiscard]] const FeedForward& row_of(std::size_t layer, std::int64_t d_ff) const;
  [[nodiscard]] Sums sums_of(const Architecture& architecture) const;

  State state_;
  std::vector<std::size_t> attention_begin_;  ///< of the rows of every layer, and their end
  std::vector<std::size_t> feed_forward_begin_;
  bool has_variances_ = false;
  double quantile_ = 0.0;  ///< half an interval over the standard deviation
};

}  // namespace lts
