#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct ExhaustiveOptions {
  friend bool operator==(const ExhaustiveOptions&, const ExhaustiveOptions&) = default;
};

/// Every member of the space in index order.
class Exhaustive final : public Algorithm {
 public:
  explicit Exhaustive(ExhaustiveOptions options = {});
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
};

}  // namespace lts
