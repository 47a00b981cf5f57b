#include "lts/algorithms/exhaustive.hpp"

namespace lts {

Exhaustive::Exhaustive(ExhaustiveOptions /*options*/) {}

// `counter` is the next index: 64 bits, for nobody lives to enumerate more.
std::optional<Genotype> Exhaustive::propose(const SearchContext& context) {
  while (BigUint(state_.counter) < context.space.size()) {
    Genotype genotype = context.encoding.encode(context.space.at(BigUint(state_.counter++)));
    if (context.claim(genotype)) return genotype;
  }
  return std::nullopt;
}

void Exhaustive::observe(const SearchContext& /*context*/, const Evaluation& /*evaluation*/) {}

}  // namespace lts
