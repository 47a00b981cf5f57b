#pragma once

// What the tests of searches and their algorithms share: spaces, and the inside of a search in the hands of the test.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lts/algorithms/algorithm.hpp"
#include "message.hpp"

namespace lts::fixture {

inline SearchSpaceOptions space_of(std::vector<std::int64_t> n_layer, std::vector<std::int64_t> d_model,
                                   std::vector<std::int64_t> n_head, std::vector<std::int64_t> d_ff) {
  SearchSpaceOptions options;
  options.n_layer = std::move(n_layer);
  options.d_model = std::move(d_model);
  options.n_head = std::move(n_head);
  options.d_ff = std::move(d_ff);
  return options;
}

inline SearchSpaceOptions space_of_depths(std::vector<std::int64_t> n_layer) {
  return space_of(std::move(n_layer), {16, 32}, {1, 2, 4}, {32, 64, 96});
}

/// 12 layers of 4 x 4 choices; every combination is valid, so variation needs no repair.
inline SearchSpaceOptions wide_space() { return space_of({12}, {64, 128}, {1, 2, 4, 8}, {64, 128, 192, 256}); }

/// 20 architectures.
inline SearchSpaceOptions tiny_space() { return space_of({1, 2}, {16}, {1, 2}, {32, 64}); }

/// How many genes differ.
inline std::size_t distance(const Genotype& a, const Genotype& b) {
  std::size_t n = 0;
  for (std::size_t g = 0; g < a.size(); ++g) n += a[g] != b[g] ? 1U : 0U;
  return n;
}

/// How many steps of one choice lie between two genotypes.
inline int n_steps(const Genotype& a, const Genotype& b) {
  int n = 0;
  for (std::size_t g = 0; g < a.size(); ++g) n += std::abs(int{a[g]} - int{b[g]});
  return n;
}

/// A search without an algorithm; its results are in the hands of the test.
struct World {
  explicit World(SearchSpaceOptions options, std::uint64_t seed = 1)
      : space(std::move(options)), encoding(space), random(seed) {}

  SearchContext context() { return {space, encoding, front, front_genotypes, seen, random}; }
  /// Puts a random member on the front that neither dominates another nor is dominated.
  void add_to_front(std::uint64_t id) {
    const auto x = static_cast<double>(id);
    ASSERT_TRUE(front.insert(std::vector<double>{x, -x}, id));
    front_genotypes[id] = *claim_random(context());
  }

  SearchSpace space;
  Encoding encoding;
  ParetoArchive front{2};
  std::map<std::uint64_t, Genotype> front_genotypes;
  SeenSet seen;
  Random random;
};

template <class Algorithm, class Options>
struct AlgorithmWorld : World {
  explicit AlgorithmWorld(Options options, SearchSpaceOptions space_options = wide_space())
      : World(std::move(space_options), 3), algorithm(options) {}

  std::optional<Genotype> propose() { return algorithm.propose(context()); }

  Algorithm algorithm;
};

/// Expects that the algorithm refuses each of the options with a message that has the text next to it.
template <class Algorithm, class Options>
void expect_refused(const std::vector<std::pair<Options, std::string>>& wrong) {
  for (const auto& [options, text] : wrong) {
    const std::string message = oracle::message_of([&, &given = options] { const Algorithm algorithm(given); });
    EXPECT_NE(message.find(text), std::string::npos) << text << ": " << message;
  }
}

}  // namespace lts::fixture
