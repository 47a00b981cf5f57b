#pragma once

#include "lts/encoding.hpp"

namespace lts {

/// A random member of the space in genotype form, drawn choice by choice (`SearchSpace::sample_choices`).
Genotype random_genotype(const Encoding& encoding, Random& random);

/// Redraws each active gene with the given probability, at least one in all; the result is in the space.
/// Falls back to `random_genotype` when the parameter bounds reject 100 tries.
Genotype mutate(const Encoding& encoding, const Genotype& parent, double probability, Random& random);

/// Takes each gene from `b` with the given probability and from `a` otherwise; the result is in the space.
/// Falls back to `random_genotype` when the parameter bounds reject 100 tries.
Genotype crossover(const Encoding& encoding, const Genotype& a, const Genotype& b, double probability, Random& random);

/// All members of the space that differ from the genotype by one step of one gene (before repair), without repeats.
std::vector<Genotype> neighbors(const Encoding& encoding, const Genotype& genotype, Random& random);

}  // namespace lts
