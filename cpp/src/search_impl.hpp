// The inside of a search, which search.cpp drives and search_state.cpp saves and restores.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lts/search.hpp"

namespace lts {

// Held by pointer: the encoding and the contexts refer to their neighbors, so an Impl never moves.
struct Search::Impl {
  Impl(SearchSpace space_, SearchOptions options_);
  Impl(const Impl&) = delete;
  Impl(Impl&&) = delete;
  Impl& operator=(const Impl&) = delete;
  Impl& operator=(Impl&&) = delete;
  ~Impl() = default;

  [[nodiscard]] SearchContext context() { return {space, encoding, archive, front_genotypes, seen, random}; }

  void check_pending(std::uint64_t id) const;
  /// Turns the values of the columns into minimized ones and the violation. Nothing has changed when it throws.
  void evaluate(std::uint64_t id, std::span<const double> values, Evaluation& out) const;
  void absorb(const Evaluation& evaluation);

  // What a state must be to go on from; defined in search_state.cpp.
  void restore(SearchState state);
  void check_genotype(const Genotype& genotype, std::string_view where) const;
  void check_evaluation(const Evaluation& evaluation, std::string_view where) const;
  void check_once(SeenSet& present, const Genotype& genotype, std::string_view where) const;
  void check(const AlgorithmState& state, SeenSet& present) const;
  void restore_seen(const std::vector<std::uint64_t>& hashes, std::size_t n_queued);
  void restore_pending(std::vector<std::pair<std::uint64_t, Genotype>>&& candidates, SeenSet& present);
  void restore_front(std::vector<Evaluation> members, SeenSet& present);

  SearchSpace space;
  Encoding encoding;
  SearchOptions options;
  std::vector<std::string> columns;
  std::vector<std::size_t> constraint_columns;
  ParetoArchive archive;
  std::map<std::uint64_t, Genotype> front_genotypes;
  SeenSet seen;
  Random random;
  std::map<std::uint64_t, Genotype> pending;
  std::uint64_t next_id = 0;
  std::uint64_t n_told = 0;
  std::uint64_t n_failed = 0;
  std::unique_ptr<Algorithm> algorithm;
  std::vector<std::uint64_t> dropped;  // scratch of absorb
};

}  // namespace lts
