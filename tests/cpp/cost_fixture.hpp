#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lts/random.hpp"
#include "lts/search_space.hpp"
#include "lts/surrogate.hpp"

// Devices whose costs are known, and samples of them.
namespace lts::fixture {

constexpr std::size_t index(CostTerm term) { return static_cast<std::size_t>(term); }

inline SearchSpace some_space() {
  return SearchSpace({.vocab_size = 1000,
                      .n_layer = {2, 3, 4, 6, 8},
                      .d_model = {64, 128, 192, 256},
                      .n_head = {2, 4, 8},
                      .d_ff = {128, 256, 384, 512, 768}});
}

inline std::vector<Architecture> sampled(std::size_t n, std::uint64_t seed) {
  const SearchSpace space = some_space();
  Random random(seed);
  std::vector<Architecture> all(n);
  for (Architecture& a : all) space.sample_choices(random, a);
  return all;
}

/// Between -1 and 1, with mean 0.
inline double noise_of(Random& random) { return 2 * random.uniform() - 1; }

/// A device whose cost is a sum of terms.
inline double additive(const Architecture& a) {
  const auto t = cost_terms(a);
  return 0.5 + 0.1 * t[index(CostTerm::layers)] + 2e-6 * t[index(CostTerm::feed_forward)] +
         3e-6 * t[index(CostTerm::attention)] + 1e-6 * t[index(CostTerm::output)];
}

inline std::vector<CostSample> samples_of(std::span<const Architecture> architectures, double noise,
                                          std::uint64_t seed) {
  Random random(seed);
  std::vector<CostSample> samples;
  for (const Architecture& a : architectures) {
    samples.push_back({.architecture = a, .value = additive(a) * (1 + noise * noise_of(random))});
  }
  return samples;
}

}  // namespace lts::fixture
