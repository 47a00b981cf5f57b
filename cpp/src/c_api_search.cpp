#include <algorithm>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "c_api.hpp"
#include "lts/json.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace
using lts::Search;

namespace {

std::vector<std::string_view> texts(const char* const* given, std::size_t n, const char* name) {
  required_array(given, n, name);
  std::vector<std::string_view> result;
  for (std::size_t i = 0; i < n; ++i) {
    result.push_back(required_text(given[i], (std::string(name) + " " + std::to_string(i)).c_str()));
  }
  return result;
}

lts::AlgorithmOptions algorithm_of(const char* text) {
  const std::string_view given = required_text(text, "options: algorithm");
  const std::size_t first = given.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && given[first] == '{';
  return json ? lts::algorithm_options_from_json(given) : lts::algorithm_options(given);
}

lts::SearchOptions options_of(const lts_search_options& options) {
  lts::SearchOptions result{.algorithm = algorithm_of(options.algorithm), .seed = options.seed};
  for (const auto text : texts(options.objectives, options.n_objectives, "options: objectives")) {
    result.objectives.push_back(lts::parse_objective(text));
  }
  for (const auto text : texts(options.constraints, options.n_constraints, "options: constraints")) {
    result.constraints.push_back(lts::parse_constraint(text));
  }
  return result;
}

void check(const HeldSearch& held) {
  if (held.out_of_memory) {
    fail(LTS_OUT_OF_MEMORY, {"the search ran out of memory before; destroy it and restore its last saved state"});
  }
}

/// Calls the function with the search, to change it. If memory runs out halfway, the search is marked as unusable.
template <class Function>
auto change(lts_search* search, Function&& function) {
  const Borrowed<lts_search> held(search, "search");
  check(*held);
  try {
    return function(held->search);
  } catch (const std::invalid_argument&) {
    throw;
  } catch (...) {
    held->out_of_memory = true;
    throw;
  }
}

/// Read access to a search.
class Read {
 public:
  explicit Read(const lts_search* search) : held_(search, "search") { check(*held_); }
  const Search* operator->() const noexcept { return &held_->search; }

 private:
  Borrowed<const lts_search> held_;
};

/// The first pending candidate from an id on; false when there is none.
bool next_pending(const lts_search* search, std::uint64_t from, lts_architecture* architecture, std::uint64_t& id) {
  const Read read(search);
  return overwrite(architecture, [&](lts::Architecture& out) { return read->next_pending(from, out, id); });
}

lts_status ask(lts_search* search, lts_architecture* architecture, std::uint64_t& id) {
  return overwrite(architecture, [&](lts::Architecture& out) {
    return change(search, [&](Search& s) -> lts_status {
      const auto asked = s.ask(out);
      if (!asked) return LTS_EXHAUSTED;
      id = *asked;
      return LTS_OK;
    });
  });
}

/// Marks the search as being run, which only one call at a time may do.
class Running {
 public:
  explicit Running(const lts_search* search) {
    const Borrowed<const lts_search> held(search, "search");
    check(*held);
    if (held->running->exchange(true)) fail(LTS_BUSY, {"search is being run already"});
    flag_ = held->running;
  }
  Running(const Running&) = delete;
  Running(Running&&) = delete;
  Running& operator=(const Running&) = delete;
  Running& operator=(Running&&) = delete;
  ~Running() { flag_->store(false); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

/// An architecture for use within a function; it is destroyed at the end in any case.
struct Temporary {
  lts_architecture* handle = nullptr;
  Temporary() { give(&handle, lts::Architecture()); }
  Temporary(const Temporary&) = delete;
  Temporary(Temporary&&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  Temporary& operator=(Temporary&&) = delete;
  ~Temporary() { destroy("lts_search_run", handle); }
};

}  // namespace

lts_status lts_search_create(const lts_space* space, const lts_search_options* options, lts_search** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const lts::SearchOptions checked = options_of(checked_size(options, "options"));
    const Borrowed<const lts_space> borrowed(space, "space");
    give(out, HeldSearch{Search(*borrowed, checked)});
  });
}

lts_status lts_search_destroy(lts_search* search) noexcept { return destroy(__func__, search); }

lts_status lts_search_save(const lts_search* search, char** out) noexcept {
  return guarded_out(__func__, out, [&] { give_text(out, lts::to_json(Read(search)->state())); });
}

lts_status lts_search_restore(const char* json, lts_search** out) noexcept {
  return guarded_out(__func__, out,
                     [&] { give(out, HeldSearch{Search(lts::search_state_from_json(required_text(json, "json")))}); });
}

lts_status lts_search_ask(lts_search* search, lts_architecture* architecture, uint64_t* id) noexcept {
  return guarded(__func__, [&] { return ask(search, architecture, required(id, "id")); });
}

lts_status lts_search_add(lts_search* search, const lts_architecture* architecture, uint64_t* id) noexcept {
  return guarded(__func__, [&] {
    required(id, "id");
    const Filled filled(architecture, "architecture");
    return change(search, [&](Search& s) -> lts_status {
      const auto added = s.add(*filled);
      if (!added) return LTS_REPEATED;
      *id = *added;
      return LTS_OK;
    });
  });
}

lts_status lts_search_tell(lts_search* search, uint64_t id, const double* values, size_t n_values) noexcept {
  return guarded(__func__, [&] {
    const std::span<const double> told(required_array(values, n_values, "values"), n_values);
    change(search, [&](Search& s) { s.tell(id, told); });
  });
}

lts_status lts_search_tell_failed(lts_search* search, uint64_t id) noexcept {
  return guarded(__func__, [&] { change(search, [&](Search& s) { s.tell_failed(id); }); });
}

lts_status lts_search_run(lts_search* search, uint64_t n, lts_measure measure, void* user, uint64_t* n_told) noexcept {
  std::uint64_t told = 0;
  // The search is in use only between the calls of the function, which may save it, ask it and tell it.
  const lts_status status = guarded("lts_search_run", [&]() -> lts_status {
    required(measure, "measure");
    const Running running(search);
    const Temporary architecture;
    std::vector<double> values(Read(search)->columns().size());
    const std::uint64_t n_asked = Read(search)->n_asked();
    std::uint64_t id = 0;
    bool waiting = true;  // there may be pending candidates from before
    for (std::uint64_t from = 0; told < n;) {
      waiting = waiting && next_pending(search, from, architecture.handle, id) && id < n_asked;
      if (!waiting) {
        const lts_status asked = ask(search, architecture.handle, id);
        if (asked != LTS_OK) return asked;
      }
      from = id + 1;
      // Values that the function does not fill are refused.
      values.assign(values.size(), std::numeric_limits<double>::quiet_NaN());
      const int outcome = measure(user, id, architecture.handle, values.data(), values.size());
      switch (outcome) {
        case LTS_MEASURED:
          change(search, [&](Search& s) { s.tell(id, values); });
          break;
        case LTS_FAILED:
          change(search, [&](Search& s) { s.tell_failed(id); });
          break;
        case LTS_STOP:
          return LTS_STOPPED;
        default:
          fail(LTS_INVALID_ARGUMENT, {"the measure function returned ", std::to_string(outcome),
                                      "; it must return LTS_MEASURED, LTS_FAILED or LTS_STOP"});
      }
      ++told;
    }
    return LTS_OK;
  });
  if (n_told != nullptr) *n_told = told;
  return status;
}

lts_status lts_search_get_progress(const lts_search* search, lts_search_progress* progress) noexcept {
  return guarded(__func__, [&] {
    checked_size(progress, "progress");
    const Read read(search);
    *progress = {.struct_size = sizeof *progress,
                 .n_asked = read->n_asked(),
                 .n_told = read->n_told(),
                 .n_failed = read->n_failed(),
                 .n_pending = read->n_pending(),
                 .front_size = read->archive().size(),
                 .n_objectives = read->options().objectives.size(),
                 .n_columns = read->columns().size()};
  });
}

lts_status lts_search_column(const lts_search* search, size_t index, const char** name) noexcept {
  return guarded(__func__, [&] {
    required(name, "name");
    const Read read(search);
    if (index >= read->columns().size()) {
      fail(LTS_INVALID_ARGUMENT, {"index is ", std::to_string(index), "; there are ",
                                  std::to_string(read->columns().size()), " columns, from 0"});
    }
    *name = read->columns()[index].c_str();
  });
}

lts_status lts_search_next_pending(const lts_search* search, uint64_t from, lts_architecture* architecture,
                                   uint64_t* id) noexcept {
  return guarded(__func__, [&]() -> lts_status {
    return next_pending(search, from, architecture, required(id, "id")) ? LTS_OK : LTS_EXHAUSTED;
  });
}

lts_status lts_search_front(const lts_search* search, size_t index, lts_architecture* architecture, uint64_t* id,
                            double* values, size_t n_values) noexcept {
  return guarded(__func__, [&] {
    const Read read(search);
    const std::size_t n_objectives = read->options().objectives.size();
    if (values != nullptr && n_values != n_objectives) {
      fail(LTS_INVALID_ARGUMENT, {"n_values is ", std::to_string(n_values), "; the search has ",
                                  std::to_string(n_objectives), " objectives"});
    }
    lts::FrontMember member = read->front(index);
    if (architecture != nullptr) {
      *Borrowed<lts_architecture>(architecture, "architecture") = std::move(member.architecture);
    }
    if (id != nullptr) *id = member.id;
    if (values != nullptr) std::copy(member.values.begin(), member.values.end(), values);
  });
}

lts_status lts_search_space(const lts_search* search, lts_space** out) noexcept {
  return guarded_out(__func__, out, [&] { give(out, lts::SearchSpace(Read(search)->space())); });
}
