#include "lts/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lts/error.hpp"
#include "search_impl.hpp"

namespace lts {

void Search::Impl::check_pending(std::uint64_t id) const {
  if (pending.contains(id)) return;
  if (id < next_id) throw_invalid({"candidate ", std::to_string(id), " was already told"});
  throw_invalid({"candidate ", std::to_string(id), " is unknown; ",
                 next_id == 0 ? "none was asked for yet" : "ids so far are 0 to " + std::to_string(next_id - 1)});
}

void Search::Impl::evaluate(std::uint64_t id, std::span<const double> values, Evaluation& out) const {
  if (values.size() != columns.size()) {
    throw_invalid({"candidate ", std::to_string(id), ": ", std::to_string(values.size()), " values were told; the ",
                   std::to_string(columns.size()), " columns need one each"});
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    throw_invalid({"candidate ", std::to_string(id), ": column '", columns[i], "' is ", to_text(values[i]),
                   "; it must be a finite number"});
  }
  out.id = id;
  out.values.resize(options.objectives.size());
  for (std::size_t i = 0; i < options.objectives.size(); ++i) {
    out.values[i] = minimized(options.objectives[i], values[i]);
  }
  out.violation = 0.0;
  for (std::size_t i = 0; i < options.constraints.size(); ++i) {
    out.violation += violation(options.constraints[i], values[constraint_columns[i]]);
  }
  out.violation = std::min(out.violation, std::numeric_limits<double>::max());
}

void Search::Impl::absorb(const Evaluation& evaluation) {
  if (!(evaluation.violation > 0.0)) {
    dropped.clear();
    if (archive.insert(evaluation.values, evaluation.id, &dropped)) {
      front_genotypes.emplace(evaluation.id, evaluation.genotype);
    }
    for (const std::uint64_t id : dropped) front_genotypes.erase(id);
  }
  ++n_told;
  algorithm->observe(context(), evaluation);
}

std::optional<std::uint64_t> Search::ask(Architecture& out) {
  std::optional<Genotype> genotype = impl_->algorithm->propose(impl_->context());
  if (!genotype) return std::nullopt;
  const std::uint64_t id = impl_->next_id++;
  impl_->encoding.decode(*genotype, out);
  impl_->pending.emplace_hint(impl_->pending.end(), id, *std::move(genotype));
  return id;
}

std::vector<Candidate> Search::ask(std::size_t n) {
  std::vector<Candidate> candidates;
  while (candidates.size() < n) {
    Candidate candidate;
    const auto id = ask(candidate.architecture);
    if (!id) break;
    candidate.id = *id;
    candidates.push_back(std::move(candidate));
  }
  return candidates;
}

std::optional<std::uint64_t> Search::add(const Architecture& architecture, bool initial) {
  if (const auto reason = impl_->space.why_not(architecture)) throw_invalid({"search: ", *reason});
  Genotype genotype = impl_->encoding.encode(architecture);
  if (!impl_->seen.insert(hash_of(genotype))) return std::nullopt;
  if (initial) impl_->algorithm->adopt();
  const std::uint64_t id = impl_->next_id++;
  impl_->pending.emplace_hint(impl_->pending.end(), id, std::move(genotype));
  return id;
}

void Search::tell(std::uint64_t id, std::span<const double> values) {
  impl_->check_pending(id);
  Evaluation evaluation;
  impl_->evaluate(id, values, evaluation);
  const auto at = impl_->pending.find(id);
  evaluation.genotype = std::move(at->second);
  impl_->pending.erase(at);
  impl_->absorb(evaluation);
}

void Search::tell_failed(std::uint64_t id) {
  impl_->check_pending(id);
  Evaluation evaluation;
  evaluation.id = id;
  const auto at = impl_->pending.find(id);
  evaluation.genotype = std::move(at->second);
  impl_->pending.erase(at);
  ++impl_->n_failed;
  impl_->algorithm->observe(impl_->context(), evaluation);
}

std::uint64_t Search::run(std::uint64_t n,
                          const std::function<void(const Architecture&, std::span<double>)>& evaluate) {
  if (!evaluate) throw_invalid({"search: run needs a function that evaluates"});
  Impl& impl = *impl_;
  Architecture architecture;
  Evaluation evaluation;
  std::vector<double> values(impl.columns.size());
  for (std::uint64_t i = 0; i < n; ++i) {
    std::optional<Genotype> genotype = impl.algorithm->propose(impl.context());
    if (!genotype) return i;
    const std::uint64_t id = impl.next_id++;
    evaluation.genotype = *std::move(genotype);
    try {
      impl.encoding.decode(evaluation.genotype, architecture);
      std::fill(values.begin(), values.end(), std::numeric_limits<double>::quiet_NaN());
      evaluate(architecture, values);
      impl.evaluate(id, values, evaluation);
    } catch (...) {
      impl.pending.emplace(id, std::move(evaluation.genotype));  // it can still be told
      throw;
    }
    impl.absorb(evaluation);
  }
  return n;
}

const SearchSpace& Search::space() const noexcept { return impl_->space; }
const SearchOptions& Search::options() const noexcept { return impl_->options; }
std::span<const std::string> Search::columns() const noexcept { return impl_->columns; }
const ParetoArchive& Search::archive() const noexcept { return impl_->archive; }
std::uint64_t Search::n_asked() const noexcept { return impl_->next_id; }
std::uint64_t Search::n_told() const noexcept { return impl_->n_told; }
std::uint64_t Search::n_failed() const noexcept { return impl_->n_failed; }

FrontMember Search::front(std::size_t index) const {
  const ParetoArchive& archive = impl_->archive;
  if (index >= archive.size()) {
    throw_invalid(
        {"front: there is no member ", std::to_string(index), "; it has ", std::to_string(archive.size()), ", from 0"});
  }
  const std::uint64_t id = archive.ids()[index];
  FrontMember member{id, impl_->encoding.decode(impl_->front_genotypes.at(id)), {}};
  for (std::size_t k = 0; k < archive.n_objectives(); ++k) {
    member.values.push_back(minimized(impl_->options.objectives[k], archive.point(index)[k]));
  }
  return member;
}

std::vector<FrontMember> Search::front() const {
  std::vector<FrontMember> members;
  for (std::size_t i = 0; i < impl_->archive.size(); ++i) members.push_back(front(i));
  return members;
}

std::size_t Search::n_pending() const noexcept { return impl_->pending.size(); }

bool Search::next_pending(std::uint64_t from, Architecture& out, std::uint64_t& id) const {
  const auto at = impl_->pending.lower_bound(from);
  if (at == impl_->pending.end()) return false;
  impl_->encoding.decode(at->second, out);
  id = at->first;
  return true;
}

std::vector<Candidate> Search::pending() const {
  std::vector<Candidate> candidates;
  for (const auto& [id, genotype] : impl_->pending) candidates.push_back({id, impl_->encoding.decode(genotype)});
  return candidates;
}

}  // namespace lts
