#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct LocalSearchOptions {
  std::uint32_t n_initial = 20;  ///< random candidates before the first neighborhood
  friend bool operator==(const LocalSearchOptions&, const LocalSearchOptions&) = default;
};

/// What `LocalSearch` remembers.
struct LocalSearchState {
  std::uint64_t n_initial = 0;                   ///< random candidates that were proposed before the first neighborhood
  std::vector<Genotype> neighbors = {};          ///< the rest of the neighborhood, handed out from the back
  std::vector<std::uint64_t> unexplored = {};    ///< ids, ascending; some may have left the front
  std::vector<Evaluation> least_violating = {};  ///< one at most, as long as nothing is feasible
};

/// Pareto local search (Paquete, Chiarandini and Stützle 2004): proposes the one-step neighbors of members of the front
/// that were not explored yet, oldest first; a random restart when all were.
class LocalSearch final : public Algorithm {
 public:
  using Options = LocalSearchOptions;
  static constexpr std::string_view name = "local";
  static AlgorithmDescription describe(Options& options);

  /// @throws std::invalid_argument naming the option that is out of range.
  explicit LocalSearch(LocalSearchOptions options);
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
  void adopt() noexcept override { ++state_.n_initial; }
  [[nodiscard]] const LocalSearchState& state() const noexcept { return state_; }

 private:
  [[nodiscard]] AlgorithmStateMembers members() noexcept override;

  LocalSearchOptions options_;
  LocalSearchState state_;
};

}  // namespace lts
