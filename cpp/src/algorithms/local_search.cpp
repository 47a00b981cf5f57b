#include "lts/algorithms/local_search.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

#include "options.hpp"

namespace lts {

AlgorithmDescription LocalSearch::describe(Options& options) {
  return {.doc = "Pareto local search (Paquete et al. 2004): the neighbors of the front, one step away.",
          .options = {{.name = "n_initial",
                       .value = &options.n_initial,
                       .minimum = 1,
                       .maximum = std::numeric_limits<std::uint32_t>::max(),
                       .doc = "Random candidates before the first neighborhood."}}};
}

LocalSearch::LocalSearch(LocalSearchOptions options) : options_(detail::checked<LocalSearch>(options)) {}

std::optional<Genotype> LocalSearch::propose(const SearchContext& context) {
  if (state_.n_initial < options_.n_initial) {
    std::optional<Genotype> genotype = claim_random(context);
    if (genotype) ++state_.n_initial;
    return genotype;
  }
  while (state_.neighbors.empty() && !state_.unexplored.empty()) {
    const std::uint64_t id = state_.unexplored.front();
    state_.unexplored.erase(state_.unexplored.begin());
    const Genotype* start = nullptr;
    if (const auto at = context.front_genotypes.find(id); at != context.front_genotypes.end()) start = &at->second;
    if (!state_.least_violating.empty() && state_.least_violating[0].id == id) {
      start = &state_.least_violating[0].genotype;
    }
    if (start == nullptr) continue;  // it left the front
    for (Genotype& genotype : neighbors(context.encoding, *start, context.random)) {
      if (context.claim(genotype)) state_.neighbors.push_back(std::move(genotype));
    }
    std::reverse(state_.neighbors.begin(), state_.neighbors.end());
  }
  if (state_.neighbors.empty()) return claim_random(context);
  std::optional<Genotype> genotype = std::move(state_.neighbors.back());
  state_.neighbors.pop_back();
  return genotype;
}

void LocalSearch::observe(const SearchContext& context, const Evaluation& evaluation) {
  std::vector<Evaluation>& least = state_.least_violating;
  bool improves = context.front_genotypes.contains(evaluation.id);
  if (!context.front.empty()) {
    least.clear();
  } else if (!evaluation.values.empty()) {
    improves =
        least.empty() || std::tie(evaluation.violation, evaluation.id) < std::tie(least[0].violation, least[0].id);
    if (improves) least.assign(1, evaluation);
  }
  if (!improves) return;
  std::vector<std::uint64_t>& ids = state_.unexplored;
  const auto at = std::lower_bound(ids.begin(), ids.end(), evaluation.id);
  if (at == ids.end() || *at != evaluation.id) ids.insert(at, evaluation.id);
}

AlgorithmStateMembers LocalSearch::members() noexcept {
  return {.counter = &state_.n_initial,
          .queue = &state_.neighbors,
          .population = &state_.least_violating,
          .ids = &state_.unexplored};
}

}  // namespace lts
