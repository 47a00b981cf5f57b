// Every function of the C interface, given what it must refuse: a status and a sentence, never a crash.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "objects.hpp"

namespace lts::test {
namespace {

enum class Type { architecture, space, archive, surrogate, search };

/// A call with one handle to be replaced, the others being right.
struct Taking {
  const char* function;
  Type type;
  std::function<lts_status(void*)> call;
  bool null_allowed = false;
};

/// A call that must be refused.
struct Wrong {
  const char* function;
  const char* what;
  std::function<lts_status()> call;
  lts_status status = LTS_INVALID_ARGUMENT;
};

template <class Handle>
Handle* as(void* handle) {
  return static_cast<Handle*>(handle);
}

constexpr double kPoint[] = {1.0, 2.0};
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max();

class Misuse : public testing::Test {
 protected:
  Objects o;
  Text text;
  lts_random random{{1, 2, 3, 4}};
  double number = 0;
  double numbers[8] = {};
  std::int64_t integers[8] = {};
  std::uint64_t id = 0;
  std::uint32_t fronts[8] = {};
  std::size_t size = 0;
  int yes = 0;
  const char* name = nullptr;
  lts_architecture* new_architecture = nullptr;
  lts_space* new_space = nullptr;
  lts_archive* new_archive = nullptr;
  lts_surrogate* new_surrogate = nullptr;
  lts_search* new_search = nullptr;
  lts_search_options options = search_options();
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  lts_surrogate_quality quality = LTS_SURROGATE_QUALITY_INIT;
  lts_parameter_counts counts = LTS_PARAMETER_COUNTS_INIT;

  static int measure(void*, std::uint64_t, const lts_architecture* a, double* values, std::size_t) {
    values_of(a, values);
    return LTS_MEASURED;
  }

  std::vector<Taking> taking() {
    using A = lts_architecture;
    const lts_surrogate_options* const none = nullptr;
    return {
        {"lts_architecture_destroy", Type::architecture, [](void* h) { return lts_architecture_destroy(as<A>(h)); },
         true},
        {"lts_architecture_to_json", Type::architecture,
         [&](void* h) { return lts_architecture_to_json(as<A>(h), text.out()); }},
        {"lts_architecture_copy", Type::architecture,
         [&](void* h) { return lts_architecture_copy(as<A>(h), o.architecture); }},
        {"lts_architecture_copy", Type::architecture,
         [&](void* h) { return lts_architecture_copy(o.scratch, as<A>(h)); }},
        {"lts_architecture_without_empty_layers", Type::architecture,
         [&](void* h) { return lts_architecture_without_empty_layers(as<A>(h), o.architecture); }},
        {"lts_architecture_without_empty_layers", Type::architecture,
         [&](void* h) { return lts_architecture_without_empty_layers(o.scratch, as<A>(h)); }},
        {"lts_architecture_equal", Type::architecture,
         [&](void* h) { return lts_architecture_equal(as<A>(h), o.architecture, &yes); }},
        {"lts_architecture_equal", Type::architecture,
         [&](void* h) { return lts_architecture_equal(o.architecture, as<A>(h), &yes); }},
        {"lts_architecture_family", Type::architecture,
         [&](void* h) { return lts_architecture_family(as<A>(h), &name); }},
        {"lts_architecture_get", Type::architecture,
         [&](void* h) { return lts_architecture_get(as<A>(h), LTS_D_FF, 0, integers); }},
        {"lts_architecture_get_layers", Type::architecture,
         [&](void* h) { return lts_architecture_get_layers(as<A>(h), LTS_D_FF, integers, 2); }},
        {"lts_count", Type::architecture, [&](void* h) { return lts_count(as<A>(h), "zerolm", nullptr, &number); }},
        {"lts_count_parameters", Type::architecture, [&](void* h) { return lts_count_parameters(as<A>(h), &counts); }},
        {"lts_geometric", Type::architecture, [&](void* h) { return lts_geometric(as<A>(h), 0.5, &number); }},
        {"lts_zerolm", Type::architecture, [&](void* h) { return lts_zerolm(as<A>(h), 0.5, 1.0, &number); }},
        {"lts_space_destroy", Type::space, [](void* h) { return lts_space_destroy(as<lts_space>(h)); }, true},
        {"lts_space_to_json", Type::space, [&](void* h) { return lts_space_to_json(as<lts_space>(h), text.out()); }},
        {"lts_space_size", Type::space, [&](void* h) { return lts_space_size(as<lts_space>(h), text.out()); }},
        {"lts_space_at", Type::space, [&](void* h) { return lts_space_at(as<lts_space>(h), "0", o.scratch); }},
        {"lts_space_at", Type::architecture, [&](void* h) { return lts_space_at(o.space, "0", as<A>(h)); }},
        {"lts_space_index", Type::space,
         [&](void* h) { return lts_space_index(as<lts_space>(h), o.architecture, text.out()); }},
        {"lts_space_index", Type::architecture,
         [&](void* h) { return lts_space_index(o.space, as<A>(h), text.out()); }},
        {"lts_space_why_not", Type::space,
         [&](void* h) { return lts_space_why_not(as<lts_space>(h), o.architecture, text.out()); }},
        {"lts_space_why_not", Type::architecture,
         [&](void* h) { return lts_space_why_not(o.space, as<A>(h), text.out()); }},
        {"lts_space_sample", Type::space,
         [&](void* h) { return lts_space_sample(as<lts_space>(h), &random, o.scratch); }},
        {"lts_space_sample", Type::architecture, [&](void* h) { return lts_space_sample(o.space, &random, as<A>(h)); }},
        {"lts_space_sample_choices", Type::space,
         [&](void* h) { return lts_space_sample_choices(as<lts_space>(h), &random, o.scratch); }},
        {"lts_space_sample_choices", Type::architecture,
         [&](void* h) { return lts_space_sample_choices(o.space, &random, as<A>(h)); }},
        {"lts_archive_destroy", Type::archive, [](void* h) { return lts_archive_destroy(as<lts_archive>(h)); }, true},
        {"lts_archive_insert", Type::archive,
         [&](void* h) { return lts_archive_insert(as<lts_archive>(h), kPoint, 2, 0, nullptr); }},
        {"lts_archive_covers", Type::archive,
         [&](void* h) { return lts_archive_covers(as<lts_archive>(h), kPoint, 2, &yes); }},
        {"lts_archive_size", Type::archive, [&](void* h) { return lts_archive_size(as<lts_archive>(h), &size); }},
        {"lts_archive_members", Type::archive,
         [&](void* h) { return lts_archive_members(as<lts_archive>(h), nullptr, nullptr, 0); }},
        {"lts_archive_clear", Type::archive, [](void* h) { return lts_archive_clear(as<lts_archive>(h)); }},
        {"lts_surrogate_fit", Type::architecture,
         [&, none](void* h) {
           const A* const three[] = {o.architecture, as<A>(h), o.architecture};
           const double values[] = {1, 2, 3};
           return lts_surrogate_fit(three, values, nullptr, 3, none, &new_surrogate);
         }},
        {"lts_surrogate_destroy", Type::surrogate, [](void* h) { return lts_surrogate_destroy(as<lts_surrogate>(h)); },
         true},
        {"lts_surrogate_to_json", Type::surrogate,
         [&](void* h) { return lts_surrogate_to_json(as<lts_surrogate>(h), text.out()); }},
        {"lts_surrogate_get_quality", Type::surrogate,
         [&](void* h) { return lts_surrogate_get_quality(as<lts_surrogate>(h), &quality); }},
        {"lts_surrogate_predict", Type::surrogate,
         [&](void* h) { return lts_surrogate_predict(as<lts_surrogate>(h), o.architecture, &number); }},
        {"lts_surrogate_predict", Type::architecture,
         [&](void* h) { return lts_surrogate_predict(o.surrogate, as<A>(h), &number); }},
        {"lts_surrogate_interval", Type::surrogate,
         [&](void* h) {
           return lts_surrogate_interval(as<lts_surrogate>(h), o.architecture, &number, nullptr, nullptr);
         }},
        {"lts_surrogate_interval", Type::architecture,
         [&](void* h) { return lts_surrogate_interval(o.surrogate, as<A>(h), &number, nullptr, nullptr); }},
        {"lts_surrogate_scaled", Type::surrogate,
         [&](void* h) { return lts_surrogate_scaled(as<lts_surrogate>(h), 2.0, &new_surrogate); }},
        {"lts_surrogate_fit_pooled", Type::architecture,
         [&](void* h) {
           const A* const three[] = {o.architecture, as<A>(h), o.architecture};
           const double values[] = {1, 2, 3};
           const std::size_t n[] = {3};
           return lts_surrogate_fit_pooled(three, values, nullptr, n, 1, 0.9, &new_surrogate, nullptr, nullptr);
         }},
        {"lts_search_create", Type::space,
         [&](void* h) { return lts_search_create(as<lts_space>(h), &options, &new_search); }},
        {"lts_search_destroy", Type::search, [](void* h) { return lts_search_destroy(as<lts_search>(h)); }, true},
        {"lts_search_save", Type::search, [&](void* h) { return lts_search_save(as<lts_search>(h), text.out()); }},
        {"lts_search_ask", Type::search, [&](void* h) { return lts_search_ask(as<lts_search>(h), o.scratch, &id); }},
        {"lts_search_ask", Type::architecture, [&](void* h) { return lts_search_ask(o.search, as<A>(h), &id); }},
        {"lts_search_add", Type::search,
         [&](void* h) { return lts_search_add(as<lts_search>(h), o.architecture, &id); }},
        {"lts_search_add", Type::architecture, [&](void* h) { return lts_search_add(o.search, as<A>(h), &id); }},
        {"lts_search_tell", Type::search, [&](void* h) { return lts_search_tell(as<lts_search>(h), 0, kPoint, 2); }},
        {"lts_search_tell_failed", Type::search, [](void* h) { return lts_search_tell_failed(as<lts_search>(h), 0); }},
        {"lts_search_run", Type::search,
         [](void* h) { return lts_search_run(as<lts_search>(h), 1, measure, nullptr, nullptr); }},
        {"lts_search_get_progress", Type::search,
         [&](void* h) { return lts_search_get_progress(as<lts_search>(h), &progress); }},
        {"lts_search_column", Type::search, [&](void* h) { return lts_search_column(as<lts_search>(h), 0, &name); }},
        {"lts_search_next_pending", Type::search,
         [&](void* h) { return lts_search_next_pending(as<lts_search>(h), 0, o.scratch, &id); }},
        {"lts_search_next_pending", Type::architecture,
         [&](void* h) { return lts_search_next_pending(o.search, 0, as<A>(h), &id); }},
        {"lts_search_front", Type::search,
         [&](void* h) { return lts_search_front(as<lts_search>(h), 0, nullptr, nullptr, nullptr, 0); }},
        {"lts_search_space", Type::search, [&](void* h) { return lts_search_space(as<lts_search>(h), &new_space); }},
    };
  }

  std::vector<Wrong> wrong() {
    return {
        {"lts_random_seed", "random", [] { return lts_random_seed(nullptr, 1); }},
        {"lts_set_allocator", "size",
         [] {
           lts_allocator a = LTS_ALLOCATOR_INIT;
           a.struct_size = 1;
           return lts_set_allocator(&a);
         }},
        {"lts_set_allocator", "no functions",
         [] {
           const lts_allocator a = LTS_ALLOCATOR_INIT;
           return lts_set_allocator(&a);
         }},
        {"lts_set_allocator", "memory is held", [] { return lts_set_allocator(nullptr); }, LTS_BUSY},
        {"lts_architecture_create", "out", [] { return lts_architecture_create(nullptr); }},
        {"lts_architecture_from_json", "json", [&] { return lts_architecture_from_json(nullptr, &new_architecture); }},
        {"lts_architecture_from_json", "out", [] { return lts_architecture_from_json(kArchitecture, nullptr); }},
        {"lts_architecture_from_json", "invalid", [&] { return lts_architecture_from_json("{", &new_architecture); }},
        {"lts_architecture_from_json", "empty", [&] { return lts_architecture_from_json("", &new_architecture); }},
        {"lts_architecture_from_json", "not UTF-8",
         [&] { return lts_architecture_from_json("{\"\xff\":1}", &new_architecture); }},
        {"lts_architecture_to_json", "out", [&] { return lts_architecture_to_json(o.architecture, nullptr); }},
        {"lts_architecture_to_json", "empty", [&] { return lts_architecture_to_json(o.scratch, text.out()); }},
        {"lts_architecture_equal", "equal",
         [&] { return lts_architecture_equal(o.architecture, o.architecture, nullptr); }},
        {"lts_architecture_family", "name", [&] { return lts_architecture_family(o.architecture, nullptr); }},
        {"lts_architecture_family", "empty", [&] { return lts_architecture_family(o.scratch, &name); }},
        {"lts_architecture_without_empty_layers", "same",
         [&] { return lts_architecture_without_empty_layers(o.architecture, o.architecture); }},
        {"lts_architecture_without_empty_layers", "empty",
         [&] { return lts_architecture_without_empty_layers(o.architecture, o.scratch); }},
        {"lts_architecture_get", "value", [&] { return lts_architecture_get(o.architecture, LTS_D_FF, 0, nullptr); }},
        {"lts_architecture_get", "layer", [&] { return lts_architecture_get(o.architecture, LTS_D_FF, 2, integers); }},
        {"lts_architecture_get", "layer of all",
         [&] { return lts_architecture_get(o.architecture, LTS_D_MODEL, 1, integers); }},
        {"lts_architecture_get", "dimension", [&] { return lts_architecture_get(o.architecture, 99, 0, integers); }},
        {"lts_architecture_get", "negative", [&] { return lts_architecture_get(o.architecture, -1, 0, integers); }},
        {"lts_architecture_get", "empty", [&] { return lts_architecture_get(o.scratch, LTS_D_MODEL, 0, integers); }},
        {"lts_architecture_get_layers", "values",
         [&] { return lts_architecture_get_layers(o.architecture, LTS_D_FF, nullptr, 2); }},
        {"lts_architecture_get_layers", "n_values",
         [&] { return lts_architecture_get_layers(o.architecture, LTS_D_FF, integers, 3); }},
        {"lts_architecture_get_layers", "0 values",
         [&] { return lts_architecture_get_layers(o.architecture, LTS_D_FF, integers, 0); }},
        {"lts_architecture_get_layers", "dimension",
         [&] { return lts_architecture_get_layers(o.architecture, LTS_D_MODEL, integers, 2); }},
        {"lts_count", "name", [&] { return lts_count(o.architecture, nullptr, nullptr, &number); }},
        {"lts_count", "unknown", [&] { return lts_count(o.architecture, "beauty", nullptr, &number); }},
        {"lts_count", "value", [&] { return lts_count(o.architecture, "zerolm", nullptr, nullptr); }},
        {"lts_count", "empty", [&] { return lts_count(o.scratch, "zerolm", nullptr, &number); }},
        {"lts_count", "workload size",
         [&] {
           const lts_workload w{0, 1, 1, 32, 32, 0};
           return lts_count(o.architecture, "zerolm", &w, &number);
         }},
        {"lts_count", "workload batch",
         [&] {
           const lts_workload w{sizeof w, 0, 1, 32, 32, 0};
           return lts_count(o.architecture, "zerolm", &w, &number);
         }},
        {"lts_count", "workload prompt",
         [&] {
           const lts_workload w{sizeof w, 1, 1 << 21, 32, 32, 0};
           return lts_count(o.architecture, "zerolm", &w, &number);
         }},
        {"lts_count", "workload bits",
         [&] {
           const lts_workload w{sizeof w, 1, 1, 7, 32, 0};
           return lts_count(o.architecture, "zerolm", &w, &number);
         }},
        {"lts_count", "workload logits",
         [&] {
           const lts_workload w{sizeof w, 1, 1, 32, 32, 2};
           return lts_count(o.architecture, "zerolm", &w, &number);
         }},
        {"lts_count_parameters", "counts", [&] { return lts_count_parameters(o.architecture, nullptr); }},
        {"lts_count_parameters", "size",
         [&] {
           counts.struct_size = 8;
           return lts_count_parameters(o.architecture, &counts);
         }},
        {"lts_count_parameters", "empty",
         [&] {
           counts.struct_size = sizeof counts;
           return lts_count_parameters(o.scratch, &counts);
         }},
        {"lts_geometric", "value", [&] { return lts_geometric(o.architecture, 0.5, nullptr); }},
        {"lts_geometric", "alpha", [&] { return lts_geometric(o.architecture, 1.5, &number); }},
        {"lts_geometric", "NaN", [&] { return lts_geometric(o.architecture, kNaN, &number); }},
        {"lts_zerolm", "value", [&] { return lts_zerolm(o.architecture, 0.5, 1, nullptr); }},
        {"lts_zerolm", "alpha", [&] { return lts_zerolm(o.architecture, -0.1, 1, &number); }},
        {"lts_zerolm", "variance", [&] { return lts_zerolm(o.architecture, 0.5, -1, &number); }},
        {"lts_space_from_json", "json", [&] { return lts_space_from_json(nullptr, &new_space); }},
        {"lts_space_from_json", "out", [] { return lts_space_from_json(kSpace, nullptr); }},
        {"lts_space_from_json", "invalid", [&] { return lts_space_from_json("[]", &new_space); }},
        {"lts_space_to_json", "out", [&] { return lts_space_to_json(o.space, nullptr); }},
        {"lts_space_size", "out", [&] { return lts_space_size(o.space, nullptr); }},
        {"lts_space_at", "index", [&] { return lts_space_at(o.space, nullptr, o.scratch); }},
        {"lts_space_at", "digits", [&] { return lts_space_at(o.space, "-1", o.scratch); }},
        {"lts_space_at", "beyond", [&] { return lts_space_at(o.space, "99999999999999999999999999", o.scratch); }},
        {"lts_space_index", "out", [&] { return lts_space_index(o.space, o.architecture, nullptr); }},
        {"lts_space_index", "empty", [&] { return lts_space_index(o.space, o.scratch, text.out()); }},
        {"lts_space_why_not", "out", [&] { return lts_space_why_not(o.space, o.architecture, nullptr); }},
        {"lts_space_sample", "random", [&] { return lts_space_sample(o.space, nullptr, o.scratch); }},
        {"lts_space_sample", "state",
         [&] {
           lts_random zero{};
           return lts_space_sample(o.space, &zero, o.scratch);
         }},
        {"lts_space_sample_choices", "random", [&] { return lts_space_sample_choices(o.space, nullptr, o.scratch); }},
        {"lts_archive_create", "out", [] { return lts_archive_create(2, nullptr); }},
        {"lts_archive_create", "no objectives", [&] { return lts_archive_create(0, &new_archive); }},
        {"lts_archive_insert", "point", [&] { return lts_archive_insert(o.archive, nullptr, 2, 0, &yes); }},
        {"lts_archive_insert", "size", [&] { return lts_archive_insert(o.archive, kPoint, 1, 0, &yes); }},
        {"lts_archive_insert", "huge", [&] { return lts_archive_insert(o.archive, kPoint, kHuge, 0, &yes); }},
        {"lts_archive_insert", "NaN",
         [&] {
           const double p[] = {1, kNaN};
           return lts_archive_insert(o.archive, p, 2, 0, &yes);
         }},
        {"lts_archive_covers", "point", [&] { return lts_archive_covers(o.archive, nullptr, 2, &yes); }},
        {"lts_archive_covers", "covers", [&] { return lts_archive_covers(o.archive, kPoint, 2, nullptr); }},
        {"lts_archive_covers", "size", [&] { return lts_archive_covers(o.archive, kPoint, 0, &yes); }},
        {"lts_archive_size", "size", [&] { return lts_archive_size(o.archive, nullptr); }},
        {"lts_archive_members", "size", [&] { return lts_archive_members(o.archive, numbers, &id, 5); }},
        {"lts_hypervolume", "points", [&] { return lts_hypervolume(nullptr, 1, kPoint, 2, &number); }},
        {"lts_hypervolume", "reference", [&] { return lts_hypervolume(kPoint, 1, nullptr, 2, &number); }},
        {"lts_hypervolume", "volume", [] { return lts_hypervolume(kPoint, 1, kPoint, 2, nullptr); }},
        {"lts_hypervolume", "no objectives", [&] { return lts_hypervolume(kPoint, 1, kPoint, 0, &number); }},
        {"lts_hypervolume", "overflow", [&] { return lts_hypervolume(kPoint, kHuge, kPoint, 2, &number); }},
        {"lts_nondominated_sort", "points", [&] { return lts_nondominated_sort(nullptr, 1, 2, fronts); }},
        {"lts_nondominated_sort", "fronts", [] { return lts_nondominated_sort(kPoint, 1, 2, nullptr); }},
        {"lts_nondominated_sort", "overflow", [&] { return lts_nondominated_sort(kPoint, kHuge / 8, 16, fronts); }},
        {"lts_crowding_distance", "points", [&] { return lts_crowding_distance(nullptr, 1, 2, numbers); }},
        {"lts_crowding_distance", "distances", [] { return lts_crowding_distance(kPoint, 1, 2, nullptr); }},
        {"lts_surrogate_fit", "architectures",
         [&] { return lts_surrogate_fit(nullptr, kPoint, nullptr, 2, nullptr, &new_surrogate); }},
        {"lts_surrogate_fit", "values",
         [&] {
           const lts_architecture* a[] = {o.architecture};
           return lts_surrogate_fit(a, nullptr, nullptr, 1, nullptr, &new_surrogate);
         }},
        {"lts_surrogate_fit", "too few",
         [&] {
           const lts_architecture* a[] = {o.architecture, o.architecture};
           return lts_surrogate_fit(a, kPoint, nullptr, 2, nullptr, &new_surrogate);
         }},
        {"lts_surrogate_fit", "none",
         [&] { return lts_surrogate_fit(nullptr, nullptr, nullptr, 0, nullptr, &new_surrogate); }},
        {"lts_surrogate_fit", "out", [] { return lts_surrogate_fit(nullptr, nullptr, nullptr, 0, nullptr, nullptr); }},
        {"lts_surrogate_fit", "options size",
         [&] {
           const lts_surrogate_options s{};
           return lts_surrogate_fit(nullptr, nullptr, nullptr, 0, &s, &new_surrogate);
         }},
        {"lts_surrogate_fit", "flag",
         [&] {
           lts_surrogate_options s = LTS_SURROGATE_OPTIONS_INIT;
           s.pairwise = 2;
           return lts_surrogate_fit(nullptr, nullptr, nullptr, 0, &s, &new_surrogate);
         }},
        {"lts_surrogate_fit", "prior",
         [&] {
           lts_surrogate_options s = LTS_SURROGATE_OPTIONS_INIT;
           s.n_prior = 3;
           return lts_surrogate_fit(nullptr, nullptr, nullptr, 0, &s, &new_surrogate);
         }},
        {"lts_surrogate_scaled", "factor", [&] { return lts_surrogate_scaled(o.surrogate, 0.0, &new_surrogate); }},
        {"lts_surrogate_scaled", "out", [&] { return lts_surrogate_scaled(o.surrogate, 1.0, nullptr); }},
        {"lts_surrogate_fit_pooled", "no devices",
         [] {
           return lts_surrogate_fit_pooled(nullptr, nullptr, nullptr, nullptr, 0, 0.9, nullptr, nullptr, nullptr);
         }},
        {"lts_surrogate_fit_pooled", "out",
         [] {
           const std::size_t n[] = {0};
           return lts_surrogate_fit_pooled(nullptr, nullptr, nullptr, n, 1, 0.9, nullptr, nullptr, nullptr);
         }},
        {"lts_surrogate_fit_pooled", "n",
         [&] {
           return lts_surrogate_fit_pooled(nullptr, nullptr, nullptr, nullptr, 1, 0.9, &new_surrogate, nullptr,
                                           nullptr);
         }},
        {"lts_surrogate_fit_pooled", "architectures",
         [&] {
           const std::size_t n[] = {2};
           return lts_surrogate_fit_pooled(nullptr, kPoint, nullptr, n, 1, 0.9, &new_surrogate, nullptr, nullptr);
         }},
        {"lts_surrogate_fit_pooled", "values",
         [&] {
           const lts_architecture* a[] = {o.architecture};
           const std::size_t n[] = {1};
           return lts_surrogate_fit_pooled(a, nullptr, nullptr, n, 1, 0.9, &new_surrogate, nullptr, nullptr);
         }},
        {"lts_surrogate_fit_pooled", "too few",
         [&] {
           const lts_architecture* a[] = {o.architecture, o.architecture};
           const std::size_t n[] = {2};
           return lts_surrogate_fit_pooled(a, kPoint, nullptr, n, 1, 0.9, &new_surrogate, nullptr, nullptr);
         }},
        {"lts_surrogate_fit_pooled", "sizes beyond memory",
         [&] {
           const lts_architecture* a[] = {o.architecture, o.architecture};
           const std::size_t n[] = {2, SIZE_MAX - 1};
           lts_surrogate* two[] = {nullptr, nullptr};
           return lts_surrogate_fit_pooled(a, kPoint, nullptr, n, 2, 0.9, two, nullptr, nullptr);
         }},
        {"lts_surrogate_from_json", "json", [&] { return lts_surrogate_from_json(nullptr, &new_surrogate); }},
        {"lts_surrogate_from_json", "invalid", [&] { return lts_surrogate_from_json("null", &new_surrogate); }},
        {"lts_surrogate_from_json", "out", [] { return lts_surrogate_from_json("{}", nullptr); }},
        {"lts_surrogate_to_json", "out", [&] { return lts_surrogate_to_json(o.surrogate, nullptr); }},
        {"lts_surrogate_get_quality", "quality", [&] { return lts_surrogate_get_quality(o.surrogate, nullptr); }},
        {"lts_surrogate_get_quality", "size",
         [&] {
           quality.struct_size += 1;
           return lts_surrogate_get_quality(o.surrogate, &quality);
         }},
        {"lts_surrogate_predict", "value", [&] { return lts_surrogate_predict(o.surrogate, o.architecture, nullptr); }},
        {"lts_surrogate_interval", "value",
         [&] { return lts_surrogate_interval(o.surrogate, o.architecture, nullptr, numbers, numbers); }},
        {"lts_search_create", "options", [&] { return lts_search_create(o.space, nullptr, &new_search); }},
        {"lts_search_create", "out", [&] { return lts_search_create(o.space, &options, nullptr); }},
        {"lts_search_create", "size",
         [&] {
           auto s = options;
           s.struct_size = 0;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "no objective",
         [&] {
           auto s = options;
           s.n_objectives = 0;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "objectives",
         [&] {
           auto s = options;
           s.objectives = nullptr;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "an objective",
         [&] {
           auto s = options;
           const char* none[] = {nullptr};
           s.objectives = none;
           s.n_objectives = 1;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "words",
         [&] {
           auto s = options;
           const char* odd[] = {"latency"};
           s.objectives = odd;
           s.n_objectives = 1;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "constraints",
         [&] {
           auto s = options;
           s.n_constraints = 1;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "huge",
         [&] {
           auto s = options;
           s.n_objectives = kHuge;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "algorithm",
         [&] {
           auto s = options;
           s.algorithm = nullptr;
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "unknown algorithm",
         [&] {
           auto s = options;
           s.algorithm = "sgd";
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_create", "algorithm JSON",
         [&] {
           auto s = options;
           s.algorithm = R"( {"name":"lts","n_parents":-1})";
           return lts_search_create(o.space, &s, &new_search);
         }},
        {"lts_search_save", "out", [&] { return lts_search_save(o.search, nullptr); }},
        {"lts_search_restore", "json", [&] { return lts_search_restore(nullptr, &new_search); }},
        {"lts_search_restore", "out", [] { return lts_search_restore("{}", nullptr); }},
        {"lts_search_restore", "invalid", [&] { return lts_search_restore(R"({"schema":1})", &new_search); }},
        {"lts_search_ask", "id", [&] { return lts_search_ask(o.search, o.scratch, nullptr); }},
        {"lts_search_add", "id", [&] { return lts_search_add(o.search, o.architecture, nullptr); }},
        {"lts_search_add", "empty", [&] { return lts_search_add(o.search, o.scratch, &id); }},
        {"lts_search_tell", "values", [&] { return lts_search_tell(o.search, 0, nullptr, 2); }},
        {"lts_search_tell", "never asked", [&] { return lts_search_tell(o.search, 0, kPoint, 2); }},
        {"lts_search_tell", "number of values",
         [&] {
           EXPECT_EQ(lts_search_ask(o.search, o.scratch, &id), LTS_OK);
           return lts_search_tell(o.search, id, kPoint, 1);
         }},
        {"lts_search_tell", "NaN",
         [&] {
           const double v[] = {kNaN, 1};
           return lts_search_tell(o.search, id, v, 2);
         }},
        {"lts_search_tell", "twice",
         [&] {
           EXPECT_EQ(lts_search_tell(o.search, id, kPoint, 2), LTS_OK);
           return lts_search_tell(o.search, id, kPoint, 2);
         }},
        {"lts_search_tell_failed", "never asked", [&] { return lts_search_tell_failed(o.search, 77); }},
        {"lts_search_run", "measure", [&] { return lts_search_run(o.search, 1, nullptr, nullptr, nullptr); }},
        {"lts_search_run", "forgets its values",
         [&] {
           return lts_search_run(
               o.search, 1,
               [](void*, std::uint64_t, const lts_architecture*, double*, std::size_t) -> int { return LTS_MEASURED; },
               nullptr, nullptr);
         }},
        {"lts_search_run", "odd result",
         [&] {
           return lts_search_run(
               o.search, 1,
               [](void*, std::uint64_t, const lts_architecture*, double*, std::size_t) -> int { return 7; }, nullptr,
               nullptr);
         }},
        {"lts_search_run", "throws",
         [&] {
           return lts_search_run(
               o.search, 1, [](void*, std::uint64_t, const lts_architecture*, double*, std::size_t) -> int { throw 1; },
               nullptr, nullptr);
         },
         LTS_INTERNAL_ERROR},
        {"lts_search_get_progress", "progress", [&] { return lts_search_get_progress(o.search, nullptr); }},
        {"lts_search_get_progress", "size",
         [&] {
           progress.struct_size = 1;
           return lts_search_get_progress(o.search, &progress);
         }},
        {"lts_search_column", "name", [&] { return lts_search_column(o.search, 0, nullptr); }},
        {"lts_search_column", "index", [&] { return lts_search_column(o.search, 2, &name); }},
        {"lts_search_next_pending", "id", [&] { return lts_search_next_pending(o.search, 0, o.scratch, nullptr); }},
        {"lts_search_front", "index", [&] { return lts_search_front(o.search, 5, nullptr, nullptr, nullptr, 0); }},
        {"lts_search_front", "n_values", [&] { return lts_search_front(o.search, 0, nullptr, nullptr, numbers, 3); }},
        {"lts_search_space", "out", [&] { return lts_search_space(o.search, nullptr); }},
    };
  }

  void* live(Type type) {
    switch (type) {
      case Type::architecture:
        return o.architecture;
      case Type::space:
        return o.space;
      case Type::archive:
        return o.archive;
      case Type::surrogate:
        return o.surrogate;
      case Type::search:
        return o.search;
    }
    return nullptr;
  }

  /// A handle of that type whose object was destroyed.
  void* stale(Type type) {
    Objects gone;
    switch (type) {
      case Type::architecture:
        return gone.architecture;
      case Type::space:
        return gone.space;
      case Type::archive:
        return gone.archive;
      case Type::surrogate:
        return gone.surrogate;
      case Type::search:
        return gone.search;
    }
    return nullptr;
  }

  static void expect_refused(lts_status status, lts_status expected, const char* function, const std::string& what) {
    EXPECT_EQ(status, expected) << function << ", " << what << ": " << lts_status_name(status);
    EXPECT_TRUE(std::string(lts_last_error()).starts_with(std::string(function) + ": "))
        << what << ": " << lts_last_error();
    EXPECT_GT(std::string(lts_last_error()).size(), std::string(function).size() + 8) << what;
  }
};

TEST_F(Misuse, HandlesThatAreNone) {
  for (const Taking& t : taking()) {
    SCOPED_TRACE(t.function);
    if (t.null_allowed) {
      EXPECT_EQ(t.call(nullptr), LTS_OK);
    } else {
      expect_refused(t.call(nullptr), LTS_INVALID_ARGUMENT, t.function, "NULL");
    }
    expect_refused(t.call(stale(t.type)), LTS_INVALID_HANDLE, t.function, "destroyed");
    const auto handle = reinterpret_cast<std::uintptr_t>(live(t.type));
    for (const std::uintptr_t garbage :
         {std::uintptr_t{1}, std::uintptr_t{0xdeadbeef}, ~std::uintptr_t{0}, reinterpret_cast<std::uintptr_t>(&handle),
          handle ^ 0x40, handle + (std::uintptr_t{1} << 19U), handle ^ 0xFFFF}) {
      expect_refused(t.call(reinterpret_cast<void*>(garbage)), LTS_INVALID_HANDLE, t.function, "garbage");
    }
    for (const Type other : {Type::architecture, Type::space, Type::archive, Type::surrogate, Type::search}) {
      if (other == t.type) continue;
      expect_refused(t.call(live(other)), LTS_INVALID_HANDLE, t.function, "of another type");
      EXPECT_NE(std::string(lts_last_error()).find("; expected a"), std::string::npos) << lts_last_error();
    }
  }
}

TEST_F(Misuse, WrongArguments) {
  for (const Wrong& w : wrong()) expect_refused(w.call(), w.status, w.function, w.what);
  EXPECT_EQ(new_architecture, nullptr);
  EXPECT_EQ(new_space, nullptr);
  EXPECT_EQ(new_archive, nullptr);
  EXPECT_EQ(new_surrogate, nullptr);
  EXPECT_EQ(new_search, nullptr);
}

TEST_F(Misuse, EveryFunctionIsTried) {
  // Those that take nothing that could be wrong.
  std::set<std::string> tried{"lts_version", "lts_last_error", "lts_status_name", "lts_free_text", "lts_count_name"};
  for (const Taking& t : taking()) tried.insert(t.function);
  for (const Wrong& w : wrong()) tried.insert(w.function);
  std::ifstream file(LTS_EXPORTS);
  std::set<std::string> exported;
  for (std::string line; std::getline(file, line);) exported.insert(line);
  EXPECT_EQ(tried, exported);
}

TEST_F(Misuse, WhatTakesNothingWrong) {
  EXPECT_STREQ(lts_status_name(LTS_BUSY), "LTS_BUSY");
  EXPECT_STREQ(lts_status_name(-99), "unknown status");
  EXPECT_STREQ(lts_status_name(99), "unknown status");
  EXPECT_STREQ(lts_count_name(0), "decoder_params");
  EXPECT_EQ(lts_count_name(1000), nullptr);
  lts_free_text(nullptr);
}

TEST_F(Misuse, DestroyedTwice) {
  for (const Type type : {Type::architecture, Type::space, Type::archive, Type::surrogate, Type::search}) {
    void* const handle = stale(type);
    for (const Taking& t : taking()) {
      if (t.type == type && t.null_allowed) expect_refused(t.call(handle), LTS_INVALID_HANDLE, t.function, "twice");
    }
  }
}

TEST_F(Misuse, OutputsAreAsTheyWereAfterAnError) {
  number = 7;
  EXPECT_EQ(lts_count(o.architecture, "beauty", nullptr, &number), LTS_INVALID_ARGUMENT);
  EXPECT_EQ(number, 7);
  auto* out = reinterpret_cast<lts_space*>(1);
  EXPECT_EQ(lts_space_from_json("{", &out), LTS_INVALID_ARGUMENT);
  EXPECT_EQ(out, nullptr);
  char* words = const_cast<char*>("x");
  EXPECT_EQ(lts_architecture_to_json(o.scratch, &words), LTS_INVALID_ARGUMENT);
  EXPECT_EQ(words, nullptr);
}

TEST_F(Misuse, MessagesAreCutAtWholeCharacters) {
  std::string unknown(900, 'x');
  for (int i = 0; i < 300; ++i) unknown += "\u20ac";
  EXPECT_EQ(lts_count(o.architecture, unknown.c_str(), nullptr, &number), LTS_INVALID_ARGUMENT);
  const std::string message = lts_last_error();
  EXPECT_GT(message.size(), 1000U);
  EXPECT_EQ(message.substr(message.size() - 3), "\u20ac");
}

// A measure function that does what it should not.

TEST_F(Misuse, MeasureDestroysTheSearch) {
  lts_search* search = nullptr;
  ASSERT_EQ(lts_search_create(o.space, &options, &search), LTS_OK);
  const auto measure = [](void* user, std::uint64_t, const lts_architecture* a, double* values, std::size_t) -> int {
    values_of(a, values);
    EXPECT_EQ(lts_search_destroy(static_cast<lts_search*>(user)), LTS_OK);
    return LTS_MEASURED;
  };
  expect_refused(lts_search_run(search, 5, measure, search, nullptr), LTS_INVALID_HANDLE, "lts_search_run",
                 "destroyed");
  EXPECT_EQ(lts_search_destroy(search), LTS_INVALID_HANDLE);
}

TEST_F(Misuse, MeasureDestroysTheArchitecture) {
  const auto measure = [](void*, std::uint64_t, const lts_architecture* a, double* values, std::size_t) -> int {
    values_of(a, values);
    EXPECT_EQ(lts_architecture_destroy(const_cast<lts_architecture*>(a)), LTS_OK);
    return LTS_MEASURED;
  };
  std::uint64_t n_told = 0;
  expect_refused(lts_search_run(o.search, 5, measure, nullptr, &n_told), LTS_INVALID_HANDLE, "lts_search_run", "gone");
  EXPECT_EQ(n_told, 1U);
}

TEST_F(Misuse, MeasureRunsTheSearchAgain) {
  const auto outer = [](void* user, std::uint64_t, const lts_architecture* a, double* values, std::size_t) -> int {
    expect_refused(lts_search_run(static_cast<lts_search*>(user), 1, measure, nullptr, nullptr), LTS_BUSY,
                   "lts_search_run", "again");
    values_of(a, values);
    return LTS_MEASURED;
  };
  std::uint64_t n_told = 0;
  EXPECT_EQ(lts_search_run(o.search, 3, outer, o.search, &n_told), LTS_OK);
  EXPECT_EQ(n_told, 3U);
  EXPECT_EQ(lts_search_run(o.search, 3, measure, nullptr, nullptr), LTS_OK) << "it has ended";
}

TEST_F(Misuse, MessagesAreOneLineOfText) {
  for (const char* const json : {R"({"a\u0000b":1})", "{\"\xff\":1}", R"({"family":"\n"})", R"({"x":1e999})"}) {
    EXPECT_EQ(lts_architecture_from_json(json, &new_architecture), LTS_INVALID_ARGUMENT);
    const std::string message = lts_last_error();
    EXPECT_EQ(message.find("[json"), std::string::npos) << message;
    EXPECT_TRUE(std::all_of(message.begin(), message.end(), [](char c) { return c >= ' ' && c < 0x7F; })) << message;
  }
  EXPECT_EQ(lts_architecture_from_json(R"({"a\u0000b":1})", &new_architecture), LTS_INVALID_ARGUMENT);
  EXPECT_NE(std::string(lts_last_error()).find("unknown key 'a\\x00b'; allowed: family"), std::string::npos);
  EXPECT_EQ(lts_geometric(o.architecture, 1.0000001, &number), LTS_INVALID_ARGUMENT);
  EXPECT_STREQ(lts_last_error(), "lts_geometric: alpha is 1.0000001; it must be from 0 to 1");
}

TEST_F(Misuse, BytesThatAreNoTextAreShownAsNumbers) {
  const char* const odd[] = {"a\xFF:min"};
  lts_search_options o2 = options;
  o2.objectives = odd;
  o2.n_objectives = 1;
  EXPECT_EQ(lts_search_create(o.space, &o2, &new_search), LTS_INVALID_ARGUMENT);
  EXPECT_NE(std::string(lts_last_error()).find("objective 'a\\xff:min'"), std::string::npos) << lts_last_error();
  for (const char* const bytes : {"\xC0\x80", "\xED\xA0\x80", "\xE2\x82"}) {
    EXPECT_EQ(lts_count(o.architecture, bytes, nullptr, &number), LTS_INVALID_ARGUMENT);
    EXPECT_NE(std::string(lts_last_error()).find("'\\x"), std::string::npos) << lts_last_error();
  }
}

TEST_F(Misuse, NamesThatCouldNotBeSaved) {
  for (const char* const odd : {"\xff:min", "a\x01b:max", "a b:min"}) {
    const char* const objectives[] = {odd};
    lts_search_options o2 = options;
    o2.objectives = objectives;
    o2.n_objectives = 1;
    EXPECT_EQ(lts_search_create(o.space, &o2, &new_search), LTS_INVALID_ARGUMENT) << odd;
  }
}

TEST_F(Misuse, StaleHandlesAreKnownForLong) {
  lts_architecture* handle = nullptr;
  ASSERT_EQ(lts_architecture_create(&handle), LTS_OK);
  ASSERT_EQ(lts_architecture_destroy(handle), LTS_OK);
  for (int i = 0; i < 100'000; ++i) {
    lts_architecture* other = nullptr;
    ASSERT_EQ(lts_architecture_create(&other), LTS_OK);
    ASSERT_EQ(lts_architecture_destroy(handle), LTS_INVALID_HANDLE) << i;
    ASSERT_EQ(lts_architecture_destroy(other), LTS_OK);
  }
}

TEST_F(Misuse, MeasureTellsItself) {
  const auto measure = [](void* user, std::uint64_t asked, const lts_architecture* a, double* values,
                          std::size_t n) -> int {
    values_of(a, values);
    EXPECT_EQ(lts_search_tell(static_cast<lts_search*>(user), asked, values, n), LTS_OK);
    return LTS_MEASURED;
  };
  expect_refused(lts_search_run(o.search, 5, measure, o.search, nullptr), LTS_INVALID_ARGUMENT, "lts_search_run",
                 "told");
}

}  // namespace
}  // namespace lts::test
