#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct Nsga2Options {
  std::uint32_t population_size = 100;
  double crossover_probability = 0.9;  ///< of breeding from two parents rather than one
  double mutation_probability = 0.0;   ///< per gene; 0: one over the number of genes
  friend bool operator==(const Nsga2Options&, const Nsga2Options&) = default;
};

/// What `Nsga2` remembers.
struct Nsga2State {
  std::uint64_t n_initial = 0;              ///< members of the first population that were proposed
  std::vector<Genotype> children = {};      ///< the rest of the generation, handed out from the back
  std::vector<Evaluation> population = {};  ///< the survivors, best first, so that the lower index wins a tournament
  std::vector<Evaluation> offspring = {};   ///< told since the survivors were selected
};

/// NSGA-II (Deb et al. 2002) with its constrained dominance: binary tournaments on rank and crowding distance, uniform
/// crossover, survival of the best fronts. Offspring are bred from the results told so far.
class Nsga2 final : public Algorithm {
 public:
  using Options = Nsga2Options;
  static constexpr std::string_view name = "nsga2";
  static AlgorithmDescription describe(Options& options);

  /// @throws std::invalid_argument naming the option that is out of range.
  explicit Nsga2(Nsga2Options options);
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
  void adopt() noexcept override { ++state_.n_initial; }
  [[nodiscard]] const Nsga2State& state() const noexcept { return state_; }

 private:
  [[nodiscard]] AlgorithmStateMembers members() noexcept override;
  void select_survivors(const SearchContext& context);
  void breed(const SearchContext& context);

  Nsga2Options options_;
  Nsga2State state_;
};

}  // namespace lts
