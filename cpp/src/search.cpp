#include "lts/search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "lts/error.hpp"

namespace lts {

namespace {

constexpr std::array<std::string_view, 5> kNames{"lts", "nsga2", "local", "random", "exhaustive"};
static_assert(kNames.size() == std::variant_size_v<AlgorithmOptions>);

std::unique_ptr<Algorithm> make_algorithm(const AlgorithmOptions& options) {
  struct Make {
    std::unique_ptr<Algorithm> operator()(const LtsEvolutionOptions& o) { return std::make_unique<LtsEvolution>(o); }
    std::unique_ptr<Algorithm> operator()(const Nsga2Options& o) { return std::make_unique<Nsga2>(o); }
    std::unique_ptr<Algorithm> operator()(const LocalSearchOptions& o) { return std::make_unique<LocalSearch>(o); }
    std::unique_ptr<Algorithm> operator()(const RandomSearchOptions& o) { return std::make_unique<RandomSearch>(o); }
    std::unique_ptr<Algorithm> operator()(const ExhaustiveOptions& o) { return std::make_unique<Exhaustive>(o); }
  };
  return std::visit(Make{}, options);
}

void check_name(std::string_view what, std::string_view name) {
  if (name.empty()) throw_invalid({"search: ", what, " has no name"});
  if (!is_printable(name)) {
    throw_invalid({"search: ", what, " is named '", name, "'; names are UTF-8 without control characters"});
  }
}

// Far above any search that somebody waits for: columns are compared with each other, and a generation is bred at once.
constexpr std::size_t kMaxNames = 1000;
constexpr std::uint64_t kMaxGenes = std::uint64_t{1} << 29;

/// Children of one generation.
std::uint64_t n_children(const AlgorithmOptions& options) {
  if (const auto* const lts = std::get_if<LtsEvolutionOptions>(&options)) {
    return std::uint64_t{lts->n_mutants} + lts->n_crossovers;
  }
  const auto* const nsga2 = std::get_if<Nsga2Options>(&options);
  return nsga2 != nullptr ? nsga2->population_size : 0;
}

void check_generation(const AlgorithmOptions& options, const Encoding& encoding) {
  const std::uint64_t n = n_children(options);
  if (n * std::max<std::uint64_t>(1, encoding.size()) <= kMaxGenes) return;
  throw_invalid({"algorithm ", algorithm_name(options), ": a generation of ", std::to_string(n), " children with ",
                 std::to_string(encoding.size()), " genes each is too large; it may have up to ",
                 std::to_string(kMaxGenes), " genes in all"});
}

SearchOptions checked(SearchOptions options) {
  if (options.objectives.size() > kMaxNames || options.constraints.size() > kMaxNames) {
    throw_invalid({"search: ", std::to_string(options.objectives.size()), " objectives and ",
                   std::to_string(options.constraints.size()), " constraints; there may be up to ",
                   std::to_string(kMaxNames), " of each"});
  }
  if (options.objectives.empty()) throw_invalid({"search: no objective; give at least one, such as latency_ms:min"});
  std::set<std::string_view> names;
  for (const Objective& objective : options.objectives) {
    check_name("an objective", objective.name);
    if (!names.insert(objective.name).second) {
      throw_invalid({"search: objective '", objective.name, "' is named twice; each may be named once"});
    }
  }
  for (const Constraint& constraint : options.constraints) {
    check_name("a constraint", constraint.name);
    if (!std::isfinite(constraint.bound)) {
      throw_invalid({"search: the bound of the constraint on '", constraint.name, "' must be a finite number"});
    }
  }
  return options;
}

}  // namespace

std::span<const std::string_view> algorithm_names() noexcept { return kNames; }

AlgorithmOptions algorithm_options(std::string_view name) {
  const std::array<AlgorithmOptions, kNames.size()> defaults{
      LtsEvolutionOptions{}, Nsga2Options{}, LocalSearchOptions{}, RandomSearchOptions{}, ExhaustiveOptions{}};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return defaults[i];
  }
  std::string known;
  for (const std::string_view n : kNames) known.append(known.empty() ? "" : ", ").append(n);
  throw_invalid({"unknown algorithm '", name, "'; expected one of ", known});
}

std::string_view algorithm_name(const AlgorithmOptions& options) noexcept { return kNames[options.index()]; }

// Held by pointer: the encoding and the contexts refer to their neighbors, so an Impl never moves.
struct Search::Impl {
  Impl(SearchSpace space_, SearchOptions options_)
      : space(std::move(space_)),
        encoding(space),
        options(checked(std::move(options_))),
        columns(columns_of(options.objectives, options.constraints)),
        archive(options.objectives.size()),
        random(options.seed),
        algorithm(make_algorithm(options.algorithm)) {
    check_generation(options.algorithm, encoding);
    for (const Constraint& constraint : options.constraints) {
      const auto at = std::find(columns.begin(), columns.end(), constraint.name);
      constraint_columns.push_back(static_cast<std::size_t>(at - columns.begin()));
    }
  }
  Impl(const Impl&) = delete;
  Impl(Impl&&) = delete;
  Impl& operator=(const Impl&) = delete;
  Impl& operator=(Impl&&) = delete;
  ~Impl() = default;

  [[nodiscard]] SearchContext context() { return {space, encoding, archive, front_genotypes, seen, random}; }

  void check_pending(std::uint64_t id) const {
    if (pending.contains(id)) return;
    if (id < next_id) throw_invalid({"candidate ", std::to_string(id), " was already told"});
    throw_invalid({"candidate ", std::to_string(id), " is unknown; ",
                   next_id == 0 ? "none was asked for yet" : "ids so far are 0 to " + std::to_string(next_id - 1)});
  }

  /// Turns the values of the columns into minimized ones and the violation. Nothing has changed when it throws.
  void evaluate(std::uint64_t id, std::span<const double> values, Evaluation& out) const {
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

  void absorb(const Evaluation& evaluation) {
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

// --- Restoring ---

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

// --- The search ---

Search::Search(SearchSpace space, SearchOptions options)
    : impl_(std::make_unique<Impl>(std::move(space), std::move(options))) {}

Search::Search(SearchState state)
    : impl_(std::make_unique<Impl>(SearchSpace(std::move(state.space)), std::move(state.options))) {
  impl_->restore(std::move(state));
}

Search::Search(Search&&) noexcept = default;
Search& Search::operator=(Search&&) noexcept = default;
Search::~Search() = default;

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

std::optional<std::uint64_t> Search::add(const Architecture& architecture) {
  if (const auto reason = impl_->space.why_not(architecture)) throw_invalid({"search: ", *reason});
  Genotype genotype = impl_->encoding.encode(architecture);
  if (!impl_->seen.insert(hash_of(genotype))) return std::nullopt;
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
  state.algorithm = impl_->algorithm->state();
  return state;
}

}  // namespace lts
