#include <cmath>
#include <set>
#include <stdexcept>

#include "lts/error.hpp"
#include "search_impl.hpp"

namespace lts {

void Search::Impl::check_genotype(const Genotype& genotype, std::string_view where) const {
  std::string reason;
  try {
    const Architecture architecture = encoding.decode(genotype);
    reason = space.why_not(architecture).value_or("");
    if (reason.empty() && encoding.encode(architecture) != genotype) reason = "genes of absent layers must be 0";
  } catch (const std::invalid_argument& error) {
    reason = error.what();
  }
  if (!reason.empty()) throw_invalid({"search state: ", where, ": genotype not in the space: ", reason});
  if (!seen.contains(hash_of(genotype))) throw_invalid({"search state: ", where, ": its genotype is not among seen"});
}

void Search::Impl::check_evaluation(const Evaluation& evaluation, std::string_view where) const {
  check_genotype(evaluation.genotype, where);
  const std::string what = "search state: " + std::string(where) + ", candidate " + std::to_string(evaluation.id);
  if (evaluation.id >= next_id) throw_invalid({what, ": ids must be below next_id, ", std::to_string(next_id)});
  if (pending.contains(evaluation.id)) throw_invalid({what, ": it has a result and is pending"});
  if (evaluation.values.size() != options.objectives.size()) {
    throw_invalid({what, ": ", std::to_string(evaluation.values.size()), " values; there are ",
                   std::to_string(options.objectives.size()), " objectives"});
  }
  for (const double value : evaluation.values) {
    if (!std::isfinite(value)) throw_invalid({what, ": values must be finite"});
  }
  if (!std::isfinite(evaluation.violation) || evaluation.violation < 0.0) {
    throw_invalid({what, ": violation must be finite and not negative"});
  }
}

void Search::Impl::check_once(SeenSet& present, const Genotype& genotype, std::string_view where) const {
  check_genotype(genotype, where);
  if (!present.insert(hash_of(genotype))) throw_invalid({"search state: ", where, ": its genotype comes twice"});
}

void Search::Impl::restore_seen(const std::vector<std::uint64_t>& hashes, std::size_t n_queued) {
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    if (hashes[i] == 0 || (i > 0 && hashes[i] <= hashes[i - 1])) {
      throw_invalid({"search state: seen must be ascending, without repeats and without 0"});
    }
    seen.insert(hashes[i]);
  }
  if (hashes.size() != next_id + n_queued) {
    throw_invalid({"search state: seen must have one entry for every candidate asked and every one queued"});
  }
}

void Search::Impl::restore_pending(std::vector<std::pair<std::uint64_t, Genotype>>&& candidates, SeenSet& present) {
  for (auto& [id, genotype] : candidates) {
    const std::string where = "pending candidate " + std::to_string(id);
    if (id >= next_id || (!pending.empty() && id <= pending.rbegin()->first)) {
      throw_invalid({"search state: ", where, ": ids must be ascending and below next_id"});
    }
    check_once(present, genotype, where);
    pending.emplace_hint(pending.end(), id, std::move(genotype));
  }
}

void Search::Impl::restore_front(std::vector<Evaluation> members, SeenSet& present) {
  if (members.size() > n_told) throw_invalid({"search state: front has more members than results were told"});
  for (Evaluation& member : members) {
    check_evaluation(member, "front");
    check_once(present, member.genotype, "front");
    if (member.violation > 0.0) throw_invalid({"search state: front: a member violates the constraints"});
    dropped.clear();
    if (!archive.insert(member.values, member.id, &dropped) || !dropped.empty()) {
      throw_invalid({"search state: front: a member dominates or equals another"});
    }
    if (!front_genotypes.emplace(member.id, std::move(member.genotype)).second) {
      throw_invalid({"search state: front: an id comes twice"});
    }
  }
}

void Search::Impl::check(const AlgorithmState& state, SeenSet& present) const {
  for (const Genotype& genotype : state.queue) check_once(present, genotype, "queue");
  std::set<std::uint64_t> ids;
  for (const auto* evaluations : {&state.population, &state.offspring}) {
    for (const Evaluation& evaluation : *evaluations) {
      check_evaluation(evaluation, "population");
      if (!ids.insert(evaluation.id).second) {
        throw_invalid({"search state: population and offspring: an id comes twice"});
      }
    }
  }
  for (std::size_t i = 0; i < state.uses.size(); ++i) {
    if (state.uses[i].first >= next_id || (i > 0 && state.uses[i].first <= state.uses[i - 1].first)) {
      throw_invalid({"search state: uses: ids must be ascending and below next_id"});
    }
  }
}

void Search::Impl::restore(SearchState state) {
  random = Random::from_state(state.random);
  next_id = state.next_id;
  n_told = state.n_told;
  n_failed = state.n_failed;
  if (n_told > next_id || n_failed > next_id - n_told || state.pending.size() != next_id - n_told - n_failed) {
    throw_invalid({"search state: next_id must be the sum of n_told, n_failed and the number of pending candidates"});
  }
  restore_seen(state.seen, state.algorithm.queue.size());
  SeenSet present;  // every genotype is at one place only: pending, on the front or queued
  restore_pending(std::move(state.pending), present);
  restore_front(std::move(state.front), present);
  check(state.algorithm, present);
  algorithm->restore(std::move(state.algorithm));
}

Search::Search(SearchState state)
    : impl_(std::make_unique<Impl>(SearchSpace(std::move(state.space)), std::move(state.options))) {
  impl_->restore(std::move(state));
}

SearchState Search::state() const {
  SearchState state;
  state.options = impl_->options;
  state.space = impl_->space.options();
  state.random = impl_->random.state();
  state.next_id = impl_->next_id;
  state.n_told = impl_->n_told;
  state.n_failed = impl_->n_failed;
  state.pending.assign(impl_->pending.begin(), impl_->pending.end());
  state.seen = impl_->seen.sorted();
  for (std::size_t i = 0; i < impl_->archive.size(); ++i) {
    const std::uint64_t id = impl_->archive.ids()[i];
    const std::span<const double> point = impl_->archive.point(i);
    state.front.push_back({id, impl_->front_genotypes.at(id), {point.begin(), point.end()}, 0.0});
  }
  state.algorithm = impl_->algorithm->save();
  return state;
}

}  // namespace lts
