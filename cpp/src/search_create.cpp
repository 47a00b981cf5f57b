// The beginning of a search, with its options checked, and its end.
#include <algorithm>
#include <cmath>
#include <set>

#include "lts/error.hpp"
#include "search_impl.hpp"

namespace lts {

namespace {

void check_name(std::string_view what, std::string_view name) {
  if (name.empty()) throw_invalid({"search: ", what, " has no name"});
  if (!is_printable(name)) {
    throw_invalid({"search: ", what, " is named '", name, "'; names are UTF-8 without control characters"});
  }
}

// Far above any search that somebody waits for: columns are compared with each other, and a generation is bred at once.
constexpr std::size_t kMaxNames = 1000;
constexpr std::uint64_t kMaxGenes = std::uint64_t{1} << 29;

void check_generation(AlgorithmOptions options, const Encoding& encoding) {
  const std::uint64_t n = describe(options).n_children;
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

Search::Impl::Impl(SearchSpace space_, SearchOptions options_)
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

Search::Search(SearchSpace space, SearchOptions options)
    : impl_(std::make_unique<Impl>(std::move(space), std::move(options))) {}

Search::Search(Search&&) noexcept = default;
Search& Search::operator=(Search&&) noexcept = default;
Search::~Search() = default;

}  // namespace lts
