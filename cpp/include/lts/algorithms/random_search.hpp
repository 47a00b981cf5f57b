#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct RandomSearchOptions {
  friend bool operator==(const RandomSearchOptions&, const RandomSearchOptions&) = default;
};

/// Random members of the space, none twice.
class RandomSearch final : public Algorithm {
 public:
  explicit RandomSearch(RandomSearchOptions options = {});
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
};

}  // namespace lts
