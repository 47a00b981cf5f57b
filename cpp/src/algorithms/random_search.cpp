#include "lts/algorithms/random_search.hpp"

namespace lts {

AlgorithmDescription RandomSearch::describe(Options& /*options*/) {
  return {.doc = "Random architectures of the space, none twice."};
}

RandomSearch::RandomSearch(RandomSearchOptions /*options*/) {}

std::optional<Genotype> RandomSearch::propose(const SearchContext& context) { return claim_random(context); }

void RandomSearch::observe(const SearchContext& /*context*/, const Evaluation& /*evaluation*/) {}

}  // namespace lts
