#include "play.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lts::fuzz {

namespace {

// What one call may have to do: genes of all the children of a generation, or of all neighbors.
constexpr std::uint64_t kMostGenes = 4'000;

/// Whether asking is a matter of milliseconds.
bool quick(const lts_search* search) {
  const auto state = nlohmann::json::parse(
      text_of([search](char** out) { return lts_search_save(search, out); }, "a search can be saved"));
  const auto& algorithm = state["options"]["algorithm"];
  const auto& space = state["space"];
  const std::uint64_t n_genes = 4 + 3 * space["n_layer"].back().get<std::uint64_t>();
  std::uint64_t n_children = 2 * n_genes;
  if (algorithm["name"] != "local") {
    n_children = algorithm.value("n_mutants", std::uint64_t{0}) + algorithm.value("n_crossovers", std::uint64_t{0}) +
                 algorithm.value("population_size", std::uint64_t{1}) + algorithm.value("n_parents", std::uint64_t{0});
  }
  return n_children <= kMostGenes / n_genes;
}

/// Values that are anything but well-behaved, the same for the same candidate.
double value_of(std::uint64_t id, std::size_t column) {
  const std::uint64_t mixed = (id * 31 + column + 1) * 0x9E3779B97F4A7C15U;
  switch (mixed >> 60U) {
    case 0:
      return 0.0;
    case 1:
      return -0.0;
    case 2:
      return 1.7e308;
    case 3:
      return -1.7e308;
    case 4:
      return 5e-324;
    default:
      return static_cast<double>(mixed >> 40U & 0xFFU) - 64;
  }
}

void look(const lts_search* search) {
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  must(lts_search_get_progress(search, &progress), "the progress can be had");
  expect(progress.n_asked == progress.n_told + progress.n_failed + progress.n_pending,
         "every candidate is counted once");
  expect(progress.n_objectives >= 1 && progress.n_objectives <= progress.n_columns, "objectives are columns");
  for (std::size_t i = 0; i < progress.n_columns; ++i) {
    const char* name = nullptr;
    must(lts_search_column(search, i, &name), "every column has a name");
  }
  OwnedSpace space;
  must(lts_search_space(search, space.out()), "the space can be had");
  const EmptyArchitecture architecture;
  std::vector<double> values(progress.n_objectives);
  for (std::size_t i = 0; i < progress.front_size; ++i) {
    std::uint64_t id = 0;
    must(lts_search_front(search, i, architecture, &id, values.data(), values.size()), "every member can be had");
    expect(id < progress.n_asked, "members were candidates");
    for (const double value : values) expect(std::isfinite(value), "values are finite");
    expect(is_member(space, architecture), "candidates are in the space");
  }
  expect(!good(lts_search_front(search, progress.front_size, architecture, nullptr, nullptr, 0)), "there are no more");
  std::uint64_t n_pending = 0;
  std::uint64_t id = 0;
  for (std::uint64_t from = 0; lts_search_next_pending(search, from, architecture, &id) == LTS_OK; from = id + 1) {
    expect(id >= from && id < progress.n_asked, "pending candidates come in order");
    expect(is_member(space, architecture), "candidates are in the space");
    ++n_pending;
  }
  expect(n_pending == progress.n_pending, "there are as many pending candidates as are counted");
}

}  // namespace

void check_saved(const lts_search* search) {
  OwnedSearch again;
  reread(lts_search_restore, lts_search_save, search, again);
}

void play(lts_search* search, int n) {
  look(search);
  if (!quick(search)) return;
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  must(lts_search_get_progress(search, &progress), "the progress can be had");
  const EmptyArchitecture architecture;
  std::vector<double> values(progress.n_columns);
  for (int i = 0; i < n; ++i) {
    std::uint64_t id = 0;
    const lts_status asked = lts_search_ask(search, architecture, &id);
    if (asked == LTS_EXHAUSTED) break;
    must(asked, "a search can be asked");
    expect(id == progress.n_asked + static_cast<std::uint64_t>(i), "ids are consecutive");
    expect(lts_search_add(search, architecture, &id) == LTS_REPEATED, "no candidate comes twice");
    if (i % 7 == 6) continue;  // waits
    if (i % 5 == 4) {
      must(lts_search_tell_failed(search, id), "a candidate may fail");
    } else {
      for (std::size_t k = 0; k < values.size(); ++k) values[k] = value_of(id, k);
      must(lts_search_tell(search, id, values.data(), values.size()), "a candidate can be told");
    }
    expect(!good(lts_search_tell_failed(search, id)), "no candidate is told twice");
  }
  if (const std::uint64_t last = progress.n_asked; last > 0 && progress.n_pending > 0) {
    std::uint64_t id = 0;
    if (lts_search_next_pending(search, 0, architecture, &id) == LTS_OK) {
      must(lts_search_tell_failed(search, id), "what was pending when it was saved can be told");
    }
  }
  look(search);
}

}  // namespace lts::fuzz
