#include "lts/algorithms/local_search.hpp"

#include <algorithm>
#include <tuple>

#include "lts/error.hpp"

namespace lts {

// The state: `counter` random candidates were proposed first; `queue` is the rest of the neighborhood; `uses` has the
// ids that wait to be explored, and of some that left the front; `population` is the least violating result as long as
// none is feasible.

LocalSearch::LocalSearch(LocalSearchOptions options) : options_(options) {
  if (options_.n_initial == 0) throw_invalid({"algorithm local: n_initial is 0; it must be at least 1"});
}

std::optional<Genotype> LocalSearch::propose(const SearchContext& context) {
  if (state_.counter < options_.n_initial) {
    std::optional<Genotype> genotype = claim_random(context);
    if (genotype) ++state_.counter;
    return genotype;
  }
  while (state_.queue.empty() && !state_.uses.empty()) {
    const std::uint64_t id = state_.uses.front().first;
    state_.uses.erase(state_.uses.begin());
    const Genotype* start = nullptr;
    if (const auto at = context.front_genotypes.find(id); at != context.front_genotypes.end()) start = &at->second;
    if (!state_.population.empty() && state_.population[0].id == id) start = &state_.population[0].genotype;
    if (start == nullptr) continue;
    for (Genotype& genotype : neighbors(context.encoding, *start, context.random)) {
      if (context.claim(genotype)) state_.queue.push_back(std::move(genotype));
    }
    std::reverse(state_.queue.begin(), state_.queue.end());
  }
  if (state_.queue.empty()) return claim_random(context);
  std::optional<Genotype> genotype = std::move(state_.queue.back());
  state_.queue.pop_back();
  return genotype;
}

void LocalSearch::observe(const SearchContext& context, const Evaluation& evaluation) {
  std::vector<Evaluation>& least = state_.population;
  bool improves = context.front_genotypes.contains(evaluation.id);
  if (!context.front.empty()) {
    least.clear();
  } else if (!evaluation.values.empty()) {
    improves =
        least.empty() || std::tie(evaluation.violation, evaluation.id) < std::tie(least[0].violation, least[0].id);
    if (improves) least.assign(1, evaluation);
  }
  if (!improves) return;
  const std::pair<std::uint64_t, std::uint64_t> waiting{evaluation.id, 0};
  state_.uses.insert(std::lower_bound(state_.uses.begin(), state_.uses.end(), waiting), waiting);
}

}  // namespace lts
