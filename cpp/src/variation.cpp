#include "lts/variation.hpp"

#include <algorithm>
#include <unordered_set>

namespace lts {

namespace {

constexpr int kTries = 100;

/// Draws with `draw(genotype)` until repair succeeds.
template <class Draw>
Genotype draw_member(const Encoding& encoding, Random& random, const Draw& draw) {
  Genotype child;
  for (int i = 0; i < kTries; ++i) {
    draw(child);
    if (encoding.repair(child, random)) return child;
  }
  return random_genotype(encoding, random);
}

std::size_t n_active(const Encoding& encoding, const Genotype& genotype) {
  const std::int64_t depth = encoding.n_layer(genotype);
  const auto genes = encoding.genes();
  const auto end = std::partition_point(genes.begin(), genes.end(),
                                        [depth](const Encoding::Gene& gene) { return gene.layer < depth; });
  return static_cast<std::size_t>(end - genes.begin());
}

std::uint16_t redraw(const Encoding::Gene& gene, std::uint16_t now, Random& random) {
  const auto other = static_cast<std::uint16_t>(random.below(gene.n_choices - 1U));
  return static_cast<std::uint16_t>(other + (other >= now ? 1 : 0));
}

/// Random genes for the layers of `genotype` beyond the depth `from` of its source.
void fill_new_layers(const Encoding& encoding, Genotype& genotype, std::int64_t from, Random& random) {
  const auto genes = encoding.genes();
  const std::int64_t depth = encoding.n_layer(genotype);
  for (std::size_t g = 0; g < genes.size(); ++g) {
    if (genes[g].layer >= from && genes[g].layer < depth) {
      genotype[g] = static_cast<std::uint16_t>(random.below(genes[g].n_choices));
    }
  }
}

}  // namespace

Genotype random_genotype(const Encoding& encoding, Random& random) {
  Architecture a;
  encoding.space().sample_choices(random, a);
  return encoding.encode(a);
}

Genotype mutate(const Encoding& encoding, const Genotype& parent, double probability, Random& random) {
  const auto genes = encoding.genes();
  if (genes.empty()) return parent;
  const std::size_t active = n_active(encoding, parent);
  const std::int64_t depth = encoding.n_layer(parent);
  return draw_member(encoding, random, [&](Genotype& child) {
    child = parent;
    bool any = false;
    for (std::size_t g = 0; g < active; ++g) {
      if (!random.bernoulli(probability)) continue;
      child[g] = redraw(genes[g], parent[g], random);
      any = true;
    }
    if (!any) {
      const std::size_t g = random.below(static_cast<std::uint32_t>(active));
      child[g] = redraw(genes[g], parent[g], random);
    }
    fill_new_layers(encoding, child, depth, random);
  });
}

Genotype crossover(const Encoding& encoding, const Genotype& a, const Genotype& b, double probability, Random& random) {
  const auto genes = encoding.genes();
  const std::int64_t depth_a = encoding.n_layer(a);
  const std::int64_t depth_b = encoding.n_layer(b);
  return draw_member(encoding, random, [&](Genotype& child) {
    child = a;
    for (std::size_t g = 0; g < genes.size(); ++g) {
      // A layer that only one parent has comes from that parent.
      const bool in_a = genes[g].layer < depth_a;
      const bool in_b = genes[g].layer < depth_b;
      if (in_b && (!in_a || random.bernoulli(probability))) child[g] = b[g];
    }
  });
}

std::vector<Genotype> neighbors(const Encoding& encoding, const Genotype& genotype, Random& random) {
  const auto genes = encoding.genes();
  std::vector<Genotype> result;
  std::unordered_set<std::uint64_t> seen{hash_of(genotype)};
  const std::int64_t depth = encoding.n_layer(genotype);
  for (std::size_t g = 0; g < n_active(encoding, genotype); ++g) {
    for (const int step : {-1, 1}) {
      const int value = genotype[g] + step;
      if (value < 0 || value >= genes[g].n_choices) continue;
      Genotype neighbor = genotype;
      neighbor[g] = static_cast<std::uint16_t>(value);
      fill_new_layers(encoding, neighbor, depth, random);
      if (encoding.repair(neighbor, random) && seen.insert(hash_of(neighbor)).second) {
        result.push_back(std::move(neighbor));
      }
    }
  }
  return result;
}

}  // namespace lts
