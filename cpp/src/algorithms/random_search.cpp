#include "lts/algorithms/random_search.hpp"

namespace lts {

RandomSearch::RandomSearch(RandomSearchOptions /*options*/) {}

std::optional<Genotype> RandomSearch::propose(const SearchContext& context) { return claim_random(context); }

void RandomSearch::observe(const SearchContext& /*context*/, const Evaluation& /*evaluation*/) {}

}  // namespace lts
