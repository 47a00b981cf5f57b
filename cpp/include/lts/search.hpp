#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lts/algorithms/table.hpp"
#include "lts/archive.hpp"
#include "lts/encoding.hpp"
#include "lts/objective.hpp"
#include "lts/search_space.hpp"

namespace lts {

struct SearchOptions {
  std::vector<Objective> objectives = {};
  std::vector<Constraint> constraints = {};
  AlgorithmOptions algorithm = {};
  std::uint64_t seed = 0;
  friend bool operator==(const SearchOptions&, const SearchOptions&) = default;
};

/// An architecture to evaluate.
struct Candidate {
  std::uint64_t id = 0;
  Architecture architecture;
};

/// A member of the front, with its values in the order of `Search::columns`, in their own direction.
struct FrontMember {
  std::uint64_t id = 0;
  Architecture architecture;
  std::vector<double> values;  ///< one per objective
};

/// Everything that a search remembers; `Search(state)` resumes exactly where it was saved.
struct SearchState {
  SearchOptions options;
  SearchSpaceOptions space;
  Random::State random{};
  std::uint64_t next_id = 0;
  std::uint64_t n_told = 0;
  std::uint64_t n_failed = 0;
  std::vector<std::pair<std::uint64_t, Genotype>> pending;  ///< asked, not told; ascending ids
  std::vector<std::uint64_t> seen;                          ///< ascending
  std::vector<Evaluation> front;                            ///< in archive order
  AlgorithmState algorithm;                                 ///< what the algorithm remembers
  friend bool operator==(const SearchState&, const SearchState&) = default;
};

/// Ask for candidates, tell their results, in any order and any number at a time; the same seed and the same sequence
/// of calls give the same candidates on every platform. Not safe for concurrent calls.
class Search {
 public:
  /// @throws std::invalid_argument: no objective, a column named twice, an option out of range.
  Search(SearchSpace space, SearchOptions options);
  /// Resumes from a saved state. @throws std::invalid_argument when the state contradicts itself.
  explicit Search(SearchState state);
  Search(Search&&) noexcept;
  Search& operator=(Search&&) noexcept;
  ~Search();

  /// Up to n new candidates; fewer, in the end none, when the space is used up. No architecture comes twice.
  std::vector<Candidate> ask(std::size_t n);

  /// One new candidate into `out`, without allocating for it once its layers have room; its id. Nothing when the space
  /// is used up.
  std::optional<std::uint64_t> ask(Architecture& out);

  /// An architecture of the caller's own choice as a candidate; nothing when it was proposed before. The algorithm
  /// learns of its results like of any other; an `initial` one takes the place of a random one in its first population,
  /// where it has such. @throws std::invalid_argument when it is not in the space.
  std::optional<std::uint64_t> add(const Architecture& architecture, bool initial = false);

  /// The results of a candidate: one value per column, in order, in their own direction.
  /// @throws std::invalid_argument: unknown or already told id, a wrong number of values, a value that is not finite.
  void tell(std::uint64_t id, std::span<const double> values);

  /// The candidate could not be evaluated. It will not be asked again. @throws as `tell`.
  void tell_failed(std::uint64_t id);

  /// Evaluates n candidates on the spot: `evaluate(architecture, values)` fills one value per column.
  /// Returns how many were evaluated; fewer when the space is used up.
  std::uint64_t run(std::uint64_t n, const std::function<void(const Architecture&, std::span<double>)>& evaluate);

  [[nodiscard]] const SearchSpace& space() const noexcept;
  [[nodiscard]] const SearchOptions& options() const noexcept;
  /// Objective names, then the names that only constraints use.
  [[nodiscard]] std::span<const std::string> columns() const noexcept;
  /// Feasible, non-dominated results, minimized.
  [[nodiscard]] const ParetoArchive& archive() const noexcept;
  /// The same with their architectures, in the directions of the objectives.
  [[nodiscard]] std::vector<FrontMember> front() const;
  /// The member at an index of the archive. @throws std::invalid_argument when the index is out of range.
  [[nodiscard]] FrontMember front(std::size_t index) const;
  /// Candidates asked and not told, ascending ids.
  [[nodiscard]] std::vector<Candidate> pending() const;
  [[nodiscard]] std::size_t n_pending() const noexcept;
  /// The first of them whose id is `from` or more; false when there is none. O(log(n_pending)).
  bool next_pending(std::uint64_t from, Architecture& out, std::uint64_t& id) const;
  [[nodiscard]] std::uint64_t n_asked() const noexcept;
  [[nodiscard]] std::uint64_t n_told() const noexcept;
  [[nodiscard]] std::uint64_t n_failed() const noexcept;

  [[nodiscard]] SearchState state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lts
