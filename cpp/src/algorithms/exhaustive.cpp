#include "lts/algorithms/exhaustive.hpp"

namespace lts {

AlgorithmDescription Exhaustive::describe(Options& /*options*/) {
  return {.doc = "Every architecture of the space, in the order of its indices."};
}

Exhaustive::Exhaustive(ExhaustiveOptions /*options*/) {}

std::optional<Genotype> Exhaustive::propose(const SearchContext& context) {
  while (BigUint(state_.next_index) < context.space.size()) {
    Genotype genotype = context.encoding.encode(context.space.at(BigUint(state_.next_index++)));
    if (context.claim(genotype)) return genotype;
  }
  return std::nullopt;
}

void Exhaustive::observe(const SearchContext& /*context*/, const Evaluation& /*evaluation*/) {}

AlgorithmStateMembers Exhaustive::members() noexcept { return {.counter = &state_.next_index}; }

}  // namespace lts
