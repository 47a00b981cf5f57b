#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lts/archive.hpp"
#include "lts/encoding.hpp"
#include "lts/variation.hpp"

namespace lts {

/// A candidate with its results.
struct Evaluation {
  std::uint64_t id = 0;
  Genotype genotype;
  std::vector<double> values;  ///< one per objective, minimized; empty for a failed candidate
  double violation = 0.0;      ///< sum over the constraints; 0 when feasible
  friend bool operator==(const Evaluation&, const Evaluation&) = default;
};

/// Hashes of the genotypes that were proposed, so that none is proposed twice. Open addressing, 8 bytes an entry.
class SeenSet {
 public:
  /// False when it was there already.
  bool insert(std::uint64_t hash);
  [[nodiscard]] bool contains(std::uint64_t hash) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// All hashes, ascending.
  [[nodiscard]] std::vector<std::uint64_t> sorted() const;

 private:
  void grow();
  std::vector<std::uint64_t> slots_;  // 0: free; hash 0 is stored as 1
  std::size_t size_ = 0;
};

/// What an algorithm sees of the search it serves.
struct SearchContext {
  const SearchSpace& space;
  const Encoding& encoding;
  const ParetoArchive& front;                                ///< feasible, non-dominated
  const std::map<std::uint64_t, Genotype>& front_genotypes;  ///< by id
  SeenSet& seen;
  Random& random;

  /// Marks the genotype as proposed; false when it was before.
  [[nodiscard]] bool claim(const Genotype& genotype) const { return seen.insert(hash_of(genotype)); }
};

/// What an algorithm remembers, in the form in which searches of all algorithms are saved (schema 1). At work each has
/// a structure of its own, such as `Nsga2State`.
struct AlgorithmState {
  std::uint64_t counter = 0;
  std::vector<Genotype> queue = {};  ///< claimed, and not handed out yet
  std::vector<Evaluation> population = {};
  std::vector<Evaluation> offspring = {};
  std::vector<std::pair<std::uint64_t, std::uint64_t>> uses = {};  ///< ids of candidates, ascending, with counts
  friend bool operator==(const AlgorithmState&, const AlgorithmState&) = default;
};

/// The members of an algorithm's own structure, each under the name that it has in `AlgorithmState`. What is null is
/// empty there.
struct AlgorithmStateMembers {
  std::uint64_t* counter = nullptr;
  std::vector<Genotype>* queue = nullptr;
  std::vector<Evaluation>* population = nullptr;
  std::vector<Evaluation>* offspring = nullptr;
  std::vector<std::pair<std::uint64_t, std::uint64_t>>* uses = nullptr;
  std::vector<std::uint64_t>* ids = nullptr;  ///< instead of `uses`, where the counts are 0
};

/// An option of an algorithm: a member of the structure that has its options, and what it may be.
struct AlgorithmOption {
  std::string_view name;
  std::variant<std::uint32_t*, double*> value;
  double minimum = 0.0;
  double maximum = 0.0;
  std::string_view doc;  ///< one sentence
};

/// What an algorithm says of itself, given its options.
struct AlgorithmDescription {
  std::string_view doc;                       ///< one sentence
  std::vector<AlgorithmOption> options = {};  ///< all of them, in the order of their structure, into which they point
  std::uint64_t n_children = 0;               ///< candidates that are bred at once; 0 where none are
};

/// @throws std::invalid_argument naming the first option that is out of range, and the range.
void check_options(std::string_view algorithm, const AlgorithmDescription& description);

/// One way to search. Proposals depend on the context and the state alone. A class `A` of which `table.hpp` has a row
/// also has `A::Options` with a default for each, `A::name`, `A::describe(Options&)`, and a constructor that takes
/// `Options`.
class Algorithm {
 public:
  virtual ~Algorithm() = default;
  Algorithm() = default;
  Algorithm(const Algorithm&) = default;
  Algorithm(Algorithm&&) = default;
  Algorithm& operator=(const Algorithm&) = default;
  Algorithm& operator=(Algorithm&&) = default;

  /// A claimed genotype of the space; nothing when no new one can be found.
  virtual std::optional<Genotype> propose(const SearchContext& context) = 0;
  /// Takes the result of an earlier proposal; the front is already up to date.
  virtual void observe(const SearchContext& context, const Evaluation& evaluation) = 0;
  /// A candidate of somebody else's choice takes the place of a random one in the first population; by default there is
  /// none.
  virtual void adopt() noexcept {}

  /// Everything that it remembers between calls.
  [[nodiscard]] AlgorithmState save();
  /// Goes on from what `save` gave. @throws std::invalid_argument for what this algorithm does not remember.
  void restore(AlgorithmState saved);

 private:
  /// By default it remembers nothing.
  [[nodiscard]] virtual AlgorithmStateMembers members() noexcept { return {}; }
};

/// A random unclaimed member of the space, claimed; nothing when the space is used up.
std::optional<Genotype> claim_random(const SearchContext& context);

}  // namespace lts
