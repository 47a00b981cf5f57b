#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct LocalSearchOptions {
  std::uint32_t n_initial = 20;  ///< random candidates before the first neighborhood
  friend bool operator==(const LocalSearchOptions&, const LocalSearchOptions&) = default;
};

/// Pareto local search (Paquete, Chiarandini and Stützle 2004): proposes the one-step neighbors of members of the front
/// that were not explored yet, oldest first; a random restart when all were.
class LocalSearch final : public Algorithm {
 public:
  /// @throws std::invalid_argument when n_initial is 0.
  explicit LocalSearch(LocalSearchOptions options);
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;

 private:
  LocalSearchOptions options_;
};

}  // namespace lts
