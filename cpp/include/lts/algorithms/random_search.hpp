#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct RandomSearchOptions {
  friend bool operator==(const RandomSearchOptions&, const RandomSearchOptions&) = default;
};

/// Random members of the space, none twice. It remembers nothing.
class RandomSearch final : public Algorithm {
 public:
  using Options = RandomSearchOptions;
  static constexpr std::string_view name = "random";
  static AlgorithmDescription describe(Options& options);

  explicit RandomSearch(RandomSearchOptions options = {});
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
};

}  // namespace lts
