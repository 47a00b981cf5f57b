#include "lts/algorithms/nsga2.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>
#include <string>
#include <tuple>

#include "lts/error.hpp"
#include "lts/sort.hpp"
#include "options.hpp"

namespace lts {

namespace {

constexpr int kTries = 16;  // children per slot before a random one takes it
constexpr double kMixing = 0.5;

/// The crowded comparison: by rank, then the less crowded, then the older.
struct Standing {
  std::uint32_t rank = 0;
  double minus_crowding = 0.0;
  std::uint64_t id = 0;
  std::size_t index = 0;
  friend bool operator<(const Standing& a, const Standing& b) noexcept {
    return std::tie(a.rank, a.minus_crowding, a.id) < std::tie(b.rank, b.minus_crowding, b.id);
  }
};

std::vector<double> points_of(std::span<const Evaluation> members, std::span<const Standing> standings) {
  std::vector<double> points;
  for (const Standing& standing : standings) {
    const std::vector<double>& values = members[standing.index].values;
    points.insert(points.end(), values.begin(), values.end());
  }
  return points;
}

/// Constrained ranks: the fronts of the feasible, then the others by violation.
std::vector<Standing> rank(std::span<const Evaluation> members, std::size_t n_objectives) {
  std::vector<Standing> feasible;
  std::vector<Standing> infeasible;
  for (std::size_t i = 0; i < members.size(); ++i) {
    (members[i].violation > 0.0 ? infeasible : feasible).push_back({0, 0.0, members[i].id, i});
  }
  std::uint32_t n_ranks = 0;
  const std::vector<std::uint32_t> fronts = nondominated_sort(points_of(members, feasible), n_objectives);
  for (std::size_t i = 0; i < feasible.size(); ++i) {
    feasible[i].rank = fronts[i];
    n_ranks = std::max(n_ranks, fronts[i] + 1);
  }
  std::sort(infeasible.begin(), infeasible.end(), [&](const Standing& a, const Standing& b) {
    return std::tie(members[a.index].violation, a.id) < std::tie(members[b.index].violation, b.id);
  });
  for (std::size_t i = 0; i < infeasible.size(); ++i) {
    if (i > 0 && members[infeasible[i].index].violation > members[infeasible[i - 1].index].violation) ++n_ranks;
    infeasible[i].rank = n_ranks;
  }
  feasible.insert(feasible.end(), infeasible.begin(), infeasible.end());
  std::sort(feasible.begin(), feasible.end());
  return feasible;
}

}  // namespace

AlgorithmDescription Nsga2::describe(Options& options) {
  using detail::count;
  using detail::probability;
  return {.doc = "NSGA-II (Deb et al. 2002), with constrained dominance.",
          .options = {count("population_size", options.population_size, 2,
                            "Size of the first, random population, and of every generation."),
                      probability("crossover_probability", options.crossover_probability,
                                  "Probability of breeding from two parents rather than one."),
                      probability("mutation_probability", options.mutation_probability,
                                  "Probability that a gene is drawn anew; 0 stands for one over the number of genes.")},
          .n_children = options.population_size};
}

Nsga2::Nsga2(Nsga2Options options) : options_(detail::checked<Nsga2>(options)) {}

std::optional<Genotype> Nsga2::propose(const SearchContext& context) {
  if (state_.n_initial < options_.population_size) {
    std::optional<Genotype> genotype = claim_random(context);
    if (genotype) ++state_.n_initial;
    return genotype;
  }
  if (state_.children.empty()) {
    select_survivors(context);
    breed(context);
  }
  if (state_.children.empty()) return claim_random(context);
  std::optional<Genotype> genotype = std::move(state_.children.back());
  state_.children.pop_back();
  return genotype;
}

void Nsga2::observe(const SearchContext& context, const Evaluation& evaluation) {
  if (evaluation.values.empty()) return;
  state_.offspring.push_back(evaluation);
  // Results may come in any number before the next generation is bred; sorting is quadratic.
  if (state_.offspring.size() >= options_.population_size) select_survivors(context);
}

void Nsga2::select_survivors(const SearchContext& context) {
  if (state_.offspring.empty()) return;
  const std::size_t n_objectives = context.front.n_objectives();
  std::vector<Evaluation> merged = std::move(state_.population);
  std::move(state_.offspring.begin(), state_.offspring.end(), std::back_inserter(merged));
  state_.offspring.clear();

  std::vector<Standing> standings = rank(merged, n_objectives);
  for (std::size_t begin = 0, end = 0; begin < standings.size() && begin < options_.population_size; begin = end) {
    while (end < standings.size() && standings[end].rank == standings[begin].rank) ++end;
    const std::span<Standing> front = std::span(standings).subspan(begin, end - begin);
    const std::vector<double> crowding = crowding_distance(points_of(merged, front), n_objectives);
    for (std::size_t i = 0; i < front.size(); ++i) {
      front[i].minus_crowding = std::isnan(crowding[i]) ? 0.0 : -crowding[i];  // the range of a column overflowed
    }
    std::sort(front.begin(), front.end());
  }
  standings.resize(std::min<std::size_t>(standings.size(), options_.population_size));
  state_.population.clear();
  state_.population.reserve(standings.size());
  for (const Standing& standing : standings) state_.population.push_back(std::move(merged[standing.index]));
}

void Nsga2::breed(const SearchContext& context) {
  if (state_.population.empty()) return;
  const auto n_members = static_cast<std::uint32_t>(state_.population.size());
  const std::size_t n_genes = std::max<std::size_t>(1, context.encoding.size());
  const double mutation_probability =
      options_.mutation_probability > 0.0 ? options_.mutation_probability : 1.0 / static_cast<double>(n_genes);
  state_.children.reserve(options_.population_size);

  const auto tournament = [&]() -> const Genotype& {
    const std::uint32_t a = context.random.below(n_members);
    const std::uint32_t b = context.random.below(n_members);
    return state_.population[std::min(a, b)].genotype;
  };
  const auto child = [&] {
    const Genotype& a = tournament();
    if (!context.random.bernoulli(options_.crossover_probability)) {
      return mutate(context.encoding, a, mutation_probability, context.random);
    }
    const Genotype mixed = crossover(context.encoding, a, tournament(), kMixing, context.random);
    return mutate(context.encoding, mixed, mutation_probability, context.random);
  };
  const auto claim_child = [&]() -> std::optional<Genotype> {
    for (int i = 0; i < kTries; ++i) {
      Genotype genotype = child();
      if (context.claim(genotype)) return genotype;
    }
    return claim_random(context);
  };
  for (std::uint32_t i = 0; i < options_.population_size; ++i) {
    std::optional<Genotype> genotype = claim_child();
    if (!genotype) break;
    state_.children.push_back(*std::move(genotype));
  }
}

AlgorithmStateMembers Nsga2::members() noexcept {
  return {.counter = &state_.n_initial,
          .queue = &state_.children,
          .population = &state_.population,
          .offspring = &state_.offspring};
}

}  // namespace lts
