#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "lts/architecture.hpp"
#include "lts/importance.hpp"
#include "lts/search_space.hpp"

namespace lts {

/// What one choice of a part adds.
struct KnapsackChoice {
  double loss = 0.0;      ///< finite
  std::int64_t cost = 0;  ///< from -2^48 to 2^48
};

/// The exact Pareto front of losses and costs that add up over parts, each of which has one of its choices.
///
/// The multiple-choice knapsack problem by dynamic programming over parts and costs (Kellerer, Pferschy and Pisinger
/// 2004, section 11.5). O(costs * choices of all parts) steps and O(costs * parts) memory for the costs that a sum may
/// have, in units of their greatest common divisor, from the least to `max_cost`.
class Knapsack {
 public:
  /// @throws std::invalid_argument: no part, one without choices or with more than 65,536, more than 8,192 parts, a
  /// number out of range, a `max_cost` below the least sum, or more than 2^27 costs and parts.
  explicit Knapsack(std::span<const std::vector<KnapsackChoice>> parts,
                    std::int64_t max_cost = std::numeric_limits<std::int64_t>::max());

  /// Sums of the members of the front: costs ascend, losses descend. Of equal sums there is one member.
  [[nodiscard]] std::span<const std::int64_t> costs() const noexcept { return costs_; }
  [[nodiscard]] std::span<const double> losses() const noexcept { return losses_; }

  /// Which choice every part has in a member. O(parts). @throws std::invalid_argument when the index is out of range.
  [[nodiscard]] std::vector<std::size_t> choices(std::size_t index) const;

 private:
  std::size_t n_parts_ = 0;
  std::int64_t least_ = 0;  ///< the least sum of costs
  std::int64_t unit_ = 1;
  std::vector<std::int64_t> costs_;
  std::vector<double> losses_;
  std::vector<std::vector<std::uint16_t>> chosen_;  ///< by part and by cost so far, in units above the least
  std::vector<std::vector<std::int64_t>> steps_;    ///< what each choice costs above the cheapest of its part
};

struct KnapsackOptions {
  /// Costs of parts are rounded to its multiples; 1 is exact for what is counted.
  double unit = 1.0;
  std::optional<double> max_cost = {};
};

/// The exact Pareto front of a space for a loss table and a cost that adds up over attention and feed-forward networks
/// of the layers.
class KnapsackFront {
 public:
  /// Each part's cost is what `cost` says of an architecture that has it less what it says of another one.
  /// @throws std::invalid_argument: a space with bounded parameters, shared dimensions, or more than one d_model,
  /// n_layer, d_embed or div_val; a level that the table lacks; a cost that is not such a sum, as random architectures
  /// show; or as `Knapsack`, in units.
  KnapsackFront(const SearchSpace& space, const LossTable& table,
                const std::function<double(const Architecture&)>& cost, const KnapsackOptions& options = {});

  /// Costs of the members, ascending, within half a unit per part, and losses as the table predicts them, descending.
  [[nodiscard]] std::span<const double> costs() const noexcept { return costs_; }
  [[nodiscard]] std::span<const double> losses() const noexcept { return losses_; }
  /// A member. O(n_layer). @throws std::invalid_argument when the index is out of range.
  [[nodiscard]] Architecture at(std::size_t index) const;

 private:
  [[nodiscard]] Architecture architecture_of(std::span<const std::size_t> choices) const;

  Architecture base_;
  std::vector<Heads> heads_;  ///< choices of attention
  std::vector<std::int64_t> d_ff_;
  std::optional<Knapsack> knapsack_;
  std::size_t first_ = 0;  ///< of the knapsack's members that is in the space
  std::vector<double> costs_;
  std::vector<double> losses_;
};

}  // namespace lts
