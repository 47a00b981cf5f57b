#pragma once

#include "lts/algorithms/algorithm.hpp"

namespace lts {

struct ExhaustiveOptions {
  friend bool operator==(const ExhaustiveOptions&, const ExhaustiveOptions&) = default;
};

/// What `Exhaustive` remembers.
struct ExhaustiveState {
  std::uint64_t next_index = 0;  ///< 64 bits cover every space that can be enumerated in practice
};

/// Every member of the space in index order.
class Exhaustive final : public Algorithm {
 public:
  using Options = ExhaustiveOptions;
  static constexpr std::string_view name = "exhaustive";
  static AlgorithmDescription describe(Options& options);

  explicit Exhaustive(ExhaustiveOptions options = {});
  std::optional<Genotype> propose(const SearchContext& context) override;
  void observe(const SearchContext& context, const Evaluation& evaluation) override;
  [[nodiscard]] const ExhaustiveState& state() const noexcept { return state_; }

 private:
  [[nodiscard]] AlgorithmStateMembers members() noexcept override;

  ExhaustiveState state_;
};

}  // namespace lts
