#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct LtsEvolutionOptions {
  std::uint32_t population_size = 100;  ///< size of the first, random population
  std::uint32_t n_parents = 20;
  std::uint32_t n_mutants = 40;
  std::uint32_t n_crossovers = 40;
  double mutation_probability = 0.3;
  double crossover_probability = 0.5;
  friend bool operator==(const LtsEvolutionOptions&, const LtsEvolutionOptions&) = default;
};

/// What `LtsEvolution` remembers.
struct LtsEvolutionState {
  std::uint64_t n_initial = 0;                   ///< members of the first population that were proposed
  std::vector<Genotype> children = {};           ///< the rest of the generation, handed out from the back
  std::vector<Evaluation> least_violating = {};  ///< ascending, as long as nothing is feasible
  /// Ascending ids of members of the front that were parents, and how often.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> uses = {};
};

/// The evolutionary search of LiteTransformerSearch (arXiv 2203.02094, section 3.2 and algorithm 1): a random
/// population, then generations of mutants and crossovers of parents drawn from the Pareto front, each member with a
/// weight inverse to how often it was drawn before. A new generation is bred when the last one is handed out, from the
/// results told so far, so slow results never stall it. Until something feasible was told, the least violating results
/// are the parents.
class LtsEvolution final : public Algorithm {
 public:
  using Options = LtsEvolutionOptions;
  static constexpr std::string_view name = "lts";
  static AlgorithmDescription describe(Options& options);

  /// @throws std::invalid_argument naming the option that is out of range.
  explicit LtsEvolution(LtsEvolutionOptions options);
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
  void adopt() noexcept override { ++state_.n_initial; }
  [[nodiscard]] const LtsEvolutionState& state() const noexcept { return state_; }

 private:
  [[nodiscard]] AlgorithmStateMembers members() noexcept override;
  void breed(const SearchContext& context);
  [[nodiscard]] std::vector<Genotype> draw_parents(const SearchContext& context);

  LtsEvolutionOptions options_;
  LtsEvolutionState state_;
};

}  // namespace lts
