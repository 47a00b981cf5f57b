// The allocator of the shared library: everything comes from it and goes back to it, and running out of memory anywhere
// is a status.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "objects.hpp"

namespace lts::test {
namespace {

/// Marks what it gives, and may fail at the n-th request.
struct Counting {
  static constexpr std::uint64_t kMark = 0x6c74735f6d61726bULL;
  std::uint64_t n_allocated = 0;
  std::uint64_t n_live = 0;
  std::uint64_t fail_at = std::numeric_limits<std::uint64_t>::max();
  bool foreign = false;  ///< something came back that was not from here

  static void* allocate(void* user, std::size_t size, std::size_t alignment) {
    auto& self = *static_cast<Counting*>(user);
    EXPECT_GE(size, 1U);
    EXPECT_LE(alignment, 64U);
    if (self.n_allocated++ >= self.fail_at) return nullptr;
    auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, (size + 64 + 63) / 64 * 64));
    std::memcpy(memory, &kMark, sizeof kMark);
    ++self.n_live;
    return memory + 64;
  }
  static void deallocate(void* user, void* memory) {
    auto& self = *static_cast<Counting*>(user);
    std::byte* const begin = static_cast<std::byte*>(memory) - 64;
    std::uint64_t mark = 0;
    std::memcpy(&mark, begin, sizeof mark);
    if (mark != kMark) self.foreign = true;
    std::memset(begin, 0, sizeof mark);
    --self.n_live;
    std::free(begin);
  }
  lts_allocator allocator() { return {sizeof(lts_allocator), allocate, deallocate, this}; }
};

class Allocator : public testing::Test {
 protected:
  void SetUp() override {
    const lts_allocator allocator = counting.allocator();
    ASSERT_EQ(lts_set_allocator(&allocator), LTS_OK) << lts_last_error();
  }
  void TearDown() override {
    EXPECT_FALSE(counting.foreign);
    EXPECT_EQ(counting.n_live, 0U);
    ASSERT_EQ(lts_set_allocator(nullptr), LTS_OK) << lts_last_error();
  }
  Counting counting;
};

int measure(void*, std::uint64_t id, const lts_architecture* architecture, double* values, std::size_t) {
  if (lts_count(architecture, "decoder_params", nullptr, &values[0]) != LTS_OK) return LTS_STOP;
  values[1] = values[0] / 1e6 + static_cast<double>(id % 7);
  return id % 11 == 3 ? LTS_FAILED : LTS_MEASURED;
}

TEST_F(Allocator, GetsEverythingBack) {
  {
    const Objects o;
    ASSERT_EQ(lts_search_run(o.search, 500, measure, nullptr, nullptr), LTS_OK) << lts_last_error();
    Text state;
    ASSERT_EQ(lts_search_save(o.search, state.out()), LTS_OK);
    lts_search* restored = nullptr;
    ASSERT_EQ(lts_search_restore(state.get(), &restored), LTS_OK);
    lts_search_destroy(restored);
    EXPECT_GT(counting.n_live, 50U);
    EXPECT_EQ(lts_set_allocator(nullptr), LTS_BUSY);
  }
  EXPECT_GT(counting.n_allocated, 1000U);
}

TEST_F(Allocator, ErrorsTakeNothing) {
  lts_space* space = nullptr;
  for (const char* const text : {"", "{", "[]", R"({"n_layer":[1]})", R"({"name":"\ud800"})"}) {
    EXPECT_EQ(lts_space_from_json(text, &space), LTS_INVALID_ARGUMENT);
    EXPECT_EQ(counting.n_live, 0U) << text;
  }
}

/// Everything, one call after the other; stops where memory ends.
lts_status everything() {
  lts_status status = LTS_OK;
  lts_space* space = nullptr;
  lts_architecture* architecture = nullptr;
  lts_architecture* other = nullptr;
  lts_archive* archive = nullptr;
  lts_surrogate* surrogate = nullptr;
  lts_search* search = nullptr;
  lts_search* restored = nullptr;
  Text text;
  lts_random random{{1, 2, 3, 4}};
  const lts_search_options options = search_options(R"({"name":"lts","population_size":20})");
  const double points[] = {1, 2, 2, 1};
  std::uint32_t fronts[2] = {};
  double numbers[4] = {};
  std::uint64_t id = 0;
  const auto next = [&status](lts_status s) {
    status = s;
    return s == LTS_OK;
  };
  const auto fit = [&] {
    const lts_architecture* const all[] = {architecture, other, architecture, other};
    const double values[] = {1, 2, 1.1, 2.1};
    return lts_surrogate_fit(all, values, nullptr, 4, nullptr, &surrogate);
  };
  lts_surrogate* pooled[2] = {};
  lts_surrogate* unmeasured = nullptr;
  const auto fit_pooled = [&] {
    const lts_architecture* const all[] = {architecture, other, architecture, other};
    const double values[] = {1, 2, 1.1, 2.1};
    const std::size_t n[] = {3, 1};
    return lts_surrogate_fit_pooled(all, values, nullptr, n, 2, 0.9, pooled, &unmeasured, nullptr);
  };
  static_cast<void>(
      next(lts_space_from_json(kSpace, &space)) && next(lts_space_size(space, text.out())) &&
      next(lts_space_to_json(space, text.out())) && next(lts_architecture_from_json(kArchitecture, &architecture)) &&
      next(lts_architecture_create(&other)) && next(lts_space_sample(space, &random, other)) &&
      next(lts_space_at(space, "7", other)) && next(lts_space_index(space, other, text.out())) &&
      next(lts_space_why_not(space, architecture, text.out())) && next(lts_architecture_to_json(other, text.out())) &&
      next(lts_archive_create(2, &archive)) && next(lts_archive_insert(archive, points, 2, 1, nullptr)) &&
      next(lts_archive_insert(archive, points + 2, 2, 2, nullptr)) &&
      next(lts_nondominated_sort(points, 2, 2, fronts)) && next(lts_crowding_distance(points, 2, 2, numbers)) &&
      next(lts_hypervolume(points, 2, points, 2, numbers)) && next(fit()) && next(fit_pooled()) &&
      next(lts_surrogate_to_json(surrogate, text.out())) &&
      next(lts_surrogate_predict(surrogate, architecture, numbers)) &&
      next(lts_search_create(space, &options, &search)) && next(lts_search_add(search, other, &id)) &&
      next(lts_search_run(search, 60, measure, nullptr, nullptr)) && next(lts_search_ask(search, other, &id)) &&
      next(lts_search_front(search, 0, other, nullptr, nullptr, 0)) && next(lts_search_save(search, text.out())) &&
      next(lts_search_restore(text.get(), &restored)));
  if (status == LTS_OUT_OF_MEMORY && search != nullptr) {
    // It is refused or whole.
    const lts_status saved = lts_search_save(search, text.out());
    EXPECT_TRUE(saved == LTS_OUT_OF_MEMORY || saved == LTS_OK) << lts_status_name(saved);
  }
  lts_search_destroy(restored);
  lts_search_destroy(search);
  EXPECT_EQ(pooled[0] == nullptr, pooled[1] == nullptr);
  EXPECT_EQ(pooled[0] == nullptr, unmeasured == nullptr);
  for (lts_surrogate* each : {surrogate, pooled[0], pooled[1], unmeasured}) lts_surrogate_destroy(each);
  lts_archive_destroy(archive);
  lts_architecture_destroy(other);
  lts_architecture_destroy(architecture);
  lts_space_destroy(space);
  return status;
}

TEST_F(Allocator, RunningOutOfMemoryAnywhereIsAStatus) {
  ASSERT_EQ(everything(), LTS_OK) << lts_last_error();
  const std::uint64_t n = counting.n_allocated;
  for (std::uint64_t fail_at = 0; fail_at < n; ++fail_at) {
    counting.n_allocated = 0;
    counting.fail_at = fail_at;
    ASSERT_EQ(everything(), LTS_OUT_OF_MEMORY) << fail_at << " of " << n << ": " << lts_last_error();
    ASSERT_EQ(counting.n_live, 0U) << fail_at;
  }
  counting.fail_at = std::numeric_limits<std::uint64_t>::max();
}

TEST_F(Allocator, AnArchitectureIsWholeOrEmpty) {
  const char* const adaptive =
      R"({"family":"transformer_xl","vocab_size":1000,"n_positions":64,"d_model":64,"n_layer":20,"n_head":2,"d_ff":128,)"
      R"("cutoffs":[100,1000],"div_val":2})";
  lts_architecture* from = nullptr;
  ASSERT_EQ(lts_architecture_from_json(adaptive, &from), LTS_OK) << lts_last_error();
  const Objects o;
  const auto tries = {+[](const Objects& objects, lts_architecture* source, lts_architecture* target) {
                        static_cast<void>(objects);
                        return lts_architecture_copy(target, source);
                      },
                      +[](const Objects& objects, lts_architecture* source, lts_architecture* target) {
                        static_cast<void>(objects);
                        return lts_architecture_without_empty_layers(target, source);
                      },
                      +[](const Objects& objects, lts_architecture*, lts_architecture* target) {
                        lts_random random{{1, 2, 3, 4}};
                        return lts_space_sample(objects.space, &random, target);
                      },
                      +[](const Objects& objects, lts_architecture*, lts_architecture* target) {
                        std::uint64_t id = 0;
                        return lts_search_ask(objects.search, target, &id);
                      }};
  for (const auto fill : tries) {
    for (std::uint64_t k = 0; k < 3; ++k) {
      lts_architecture* target = nullptr;
      ASSERT_EQ(lts_architecture_create(&target), LTS_OK);
      counting.fail_at = counting.n_allocated + k;
      const lts_status status = fill(o, from, target);
      counting.fail_at = std::numeric_limits<std::uint64_t>::max();
      double value = 0;
      EXPECT_EQ(lts_count(target, "decoder_params", nullptr, &value), status == LTS_OK ? LTS_OK : LTS_INVALID_ARGUMENT);
      lts_architecture_destroy(target);
    }
  }
  lts_architecture_destroy(from);
}

TEST_F(Allocator, ASearchThatRanOutOfMemoryIsRefused) {
  Objects o;
  counting.n_allocated = 0;
  counting.fail_at = 40;
  ASSERT_EQ(lts_search_run(o.search, 500, measure, nullptr, nullptr), LTS_OUT_OF_MEMORY);
  counting.fail_at = std::numeric_limits<std::uint64_t>::max();
  Text text;
  std::uint64_t id = 0;
  EXPECT_EQ(lts_search_save(o.search, text.out()), LTS_OUT_OF_MEMORY);
  EXPECT_EQ(lts_search_ask(o.search, o.scratch, &id), LTS_OUT_OF_MEMORY);
  EXPECT_NE(std::string(lts_last_error()).find("restore its last saved state"), std::string::npos);
}

TEST_F(Allocator, CountingAndPredictingAllocateNothing) {
  const Objects o;
  double value = 0;
  double low = 0;
  double high = 0;
  lts_random random{{1, 2, 3, 4}};
  lts_parameter_counts counts = LTS_PARAMETER_COUNTS_INIT;
  std::uint64_t before = 0;
  for (int round = 0; round < 200; ++round) {
    if (round == 100) before = counting.n_allocated;  // by then it has met the deepest
    ASSERT_EQ(lts_space_sample_choices(o.space, &random, o.scratch), LTS_OK);
    ASSERT_EQ(lts_count_parameters(o.scratch, &counts), LTS_OK);
    for (std::size_t i = 0; lts_count_name(i) != nullptr; ++i) {
      ASSERT_EQ(lts_count(o.scratch, lts_count_name(i), nullptr, &value), LTS_OK);
    }
    ASSERT_EQ(lts_surrogate_predict(o.surrogate, o.scratch, &value), LTS_OK);
    ASSERT_EQ(lts_surrogate_interval(o.surrogate, o.scratch, &value, &low, &high), LTS_OK);
  }
  EXPECT_EQ(counting.n_allocated, before);
}

}  // namespace
}  // namespace lts::test
