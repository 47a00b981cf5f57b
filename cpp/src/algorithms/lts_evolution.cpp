#include "lts/algorithms/lts_evolution.hpp"

#include <algorithm>
#include <string>
#include <tuple>

#include "lts/error.hpp"
#include "options.hpp"

namespace lts {

namespace {

constexpr int kTries = 16;                                 // children per slot before a random one takes it
constexpr std::uint64_t kWeight = std::uint64_t{1} << 32;  // of a member that was never a parent

LtsEvolutionOptions checked(LtsEvolutionOptions options) {
  if (options.n_mutants == 0 && options.n_crossovers == 0) {
    throw_invalid({"algorithm lts: n_mutants and n_crossovers are both 0; one must be at least 1"});
  }
  return detail::checked<LtsEvolution>(options);
}

}  // namespace

AlgorithmDescription LtsEvolution::describe(Options& options) {
  using detail::count;
  using detail::probability;
  return {.doc = "The evolutionary search of LiteTransformerSearch (arXiv 2203.02094).",
          .options = {count("population_size", options.population_size, 1, "Size of the first, random population."),
                      count("n_parents", options.n_parents, 1, "Parents of a generation, drawn from the front."),
                      count("n_mutants", options.n_mutants, 0, "Children of one parent in a generation."),
                      count("n_crossovers", options.n_crossovers, 0, "Children of two parents in a generation."),
                      probability("mutation_probability", options.mutation_probability,
                                  "Probability that a gene of a mutant is drawn anew."),
                      probability("crossover_probability", options.crossover_probability,
                                  "Probability that a gene of a crossover is the second parent's.")},
          .n_children = std::uint64_t{options.n_mutants} + options.n_crossovers};
}

LtsEvolution::LtsEvolution(LtsEvolutionOptions options) : options_(checked(options)) {}

std::optional<Genotype> LtsEvolution::propose(const SearchContext& context) {
  if (state_.n_initial < options_.population_size) {
    std::optional<Genotype> genotype = claim_random(context);
    if (genotype) ++state_.n_initial;
    return genotype;
  }
  if (state_.children.empty()) breed(context);
  if (state_.children.empty()) return claim_random(context);
  std::optional<Genotype> genotype = std::move(state_.children.back());
  state_.children.pop_back();
  return genotype;
}

void LtsEvolution::observe(const SearchContext& context, const Evaluation& evaluation) {
  std::vector<Evaluation>& least = state_.least_violating;
  if (!context.front.empty()) {
    least.clear();
    return;
  }
  if (evaluation.values.empty()) return;
  const auto before = [](const Evaluation& a, const Evaluation& b) {
    return std::tie(a.violation, a.id) < std::tie(b.violation, b.id);
  };
  const auto at = std::lower_bound(least.begin(), least.end(), evaluation, before);
  if (at == least.end() && least.size() >= options_.n_parents) return;
  least.insert(at, evaluation);
  if (least.size() > options_.n_parents) least.pop_back();
}

void LtsEvolution::breed(const SearchContext& context) {
  const std::vector<Genotype> parents = draw_parents(context);
  if (parents.empty()) return;
  const auto n_parents = static_cast<std::uint32_t>(parents.size());
  const std::uint32_t n_children = options_.n_mutants + options_.n_crossovers;
  state_.children.reserve(n_children);

  const auto child = [&](bool mutant) {
    const std::uint32_t a = context.random.below(n_parents);
    if (mutant) return mutate(context.encoding, parents[a], options_.mutation_probability, context.random);
    std::uint32_t b = a;
    if (n_parents > 1) {
      b = context.random.below(n_parents - 1);
      if (b >= a) ++b;
    }
    if (parents[a] == parents[b]) return parents[a];  // drawn twice; claimed long ago, so the slot tries again
    return crossover(context.encoding, parents[a], parents[b], options_.crossover_probability, context.random);
  };
  const auto claim_child = [&](bool mutant) -> std::optional<Genotype> {
    for (int i = 0; i < kTries; ++i) {
      Genotype genotype = child(mutant);
      if (context.claim(genotype)) return genotype;
    }
    return claim_random(context);
  };
  for (std::uint32_t i = 0; i < n_children; ++i) {
    std::optional<Genotype> genotype = claim_child(i < options_.n_mutants);
    if (!genotype) break;
    state_.children.push_back(*std::move(genotype));
  }
  std::reverse(state_.children.begin(), state_.children.end());  // mutants are handed out first
}

// Draws with replacement; the weights are those before the draw. Integers and one exact product, so the same anywhere.
std::vector<Genotype> LtsEvolution::draw_parents(const SearchContext& context) {
  std::vector<Genotype> parents;
  if (context.front.empty()) {
    for (const Evaluation& evaluation : state_.least_violating) parents.push_back(evaluation.genotype);
    return parents;
  }
  std::vector<std::uint64_t> ids(context.front.ids().begin(), context.front.ids().end());
  if (!std::is_sorted(ids.begin(), ids.end())) std::sort(ids.begin(), ids.end());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> uses;
  std::vector<std::uint64_t> cumulative;
  uses.reserve(ids.size());
  cumulative.reserve(ids.size());
  std::uint64_t total = 0;
  auto known = state_.uses.cbegin();
  for (const std::uint64_t id : ids) {
    while (known != state_.uses.cend() && known->first < id) ++known;
    const bool used = known != state_.uses.cend() && known->first == id;
    const std::uint64_t n = used ? known->second : 0;
    uses.emplace_back(id, n);
    total += n == 0 ? kWeight : kWeight / (1 + std::min(n, kWeight - 1));
    cumulative.push_back(total);
  }
  for (std::uint32_t i = 0; i < options_.n_parents; ++i) {
    const auto drawn = static_cast<std::uint64_t>(context.random.uniform() * static_cast<double>(total));
    const auto at = std::upper_bound(cumulative.begin(), cumulative.end() - 1, drawn) - cumulative.begin();
    auto& [id, count] = uses[static_cast<std::size_t>(at)];
    parents.push_back(context.front_genotypes.at(id));
    ++count;
  }
  std::erase_if(uses, [](const auto& use) { return use.second == 0; });
  state_.uses = std::move(uses);
  return parents;
}

AlgorithmStateMembers LtsEvolution::members() noexcept {
  return {.counter = &state_.n_initial,
          .queue = &state_.children,
          .population = &state_.least_violating,
          .uses = &state_.uses};
}

}  // namespace lts
