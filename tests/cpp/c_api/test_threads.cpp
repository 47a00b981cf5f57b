// Concurrent use: reading one object from many threads, one search per thread, and what meets what it must not.
#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "objects.hpp"

namespace lts::test {
namespace {

constexpr int kThreads = 4;

template <class Function>
void in_threads(const Function& function) {
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back(function, t);
  for (std::thread& thread : threads) thread.join();
}

int measure(void*, std::uint64_t, const lts_architecture* architecture, double* values, std::size_t) {
  values_of(architecture, values);
  return LTS_MEASURED;
}

TEST(Threads, ReadOneObject) {
  const Objects o;
  ASSERT_EQ(lts_search_run(o.search, 50, measure, nullptr, nullptr), LTS_OK);
  in_threads([&o](int t) {
    lts_architecture* mine = nullptr;
    ASSERT_EQ(lts_architecture_create(&mine), LTS_OK);
    lts_random random{};
    lts_random_seed(&random, static_cast<std::uint64_t>(t));
    Text text;
    double value = 0;
    for (int i = 0; i < 200; ++i) {
      ASSERT_EQ(lts_space_sample(o.space, &random, mine), LTS_OK) << lts_last_error();
      ASSERT_EQ(lts_surrogate_predict(o.surrogate, mine, &value), LTS_OK);
      ASSERT_EQ(lts_count(o.architecture, "total_params", nullptr, &value), LTS_OK);
      ASSERT_EQ(lts_search_front(o.search, 0, mine, nullptr, nullptr, 0), LTS_OK);
      ASSERT_EQ(lts_search_save(o.search, text.out()), LTS_OK);
    }
    ASSERT_EQ(lts_architecture_destroy(mine), LTS_OK);
  });
}

TEST(Threads, OneSearchEach) {
  const Objects o;
  std::vector<std::string> states(kThreads);
  in_threads([&](int t) {
    const lts_search_options options = search_options("lts", 9);
    lts_search* search = nullptr;
    ASSERT_EQ(lts_search_create(o.space, &options, &search), LTS_OK);
    ASSERT_EQ(lts_search_run(search, 300, measure, nullptr, nullptr), LTS_OK) << lts_last_error();
    Text text;
    ASSERT_EQ(lts_search_save(search, text.out()), LTS_OK);
    states[static_cast<std::size_t>(t)] = text.str();
    ASSERT_EQ(lts_search_destroy(search), LTS_OK);
  });
  for (const std::string& state : states) EXPECT_EQ(state, states[0]);
}

TEST(Threads, WhatMeetsAChangeIsToldSo) {
  const Objects o;
  std::atomic<int> n_busy{0};
  std::atomic<int> n_asked{0};
  in_threads([&](int) {
    lts_architecture* mine = nullptr;
    ASSERT_EQ(lts_architecture_create(&mine), LTS_OK);
    for (int i = 0; i < 300; ++i) {
      std::uint64_t id = 0;
      const lts_status status = lts_search_ask(o.search, mine, &id);
      ASSERT_TRUE(status == LTS_OK || status == LTS_BUSY) << lts_last_error();
      ++(status == LTS_OK ? n_asked : n_busy);
    }
    ASSERT_EQ(lts_architecture_destroy(mine), LTS_OK);
  });
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  ASSERT_EQ(lts_search_get_progress(o.search, &progress), LTS_OK);
  EXPECT_EQ(progress.n_asked, static_cast<std::uint64_t>(n_asked.load()));
  EXPECT_EQ(n_asked + n_busy, kThreads * 300);
}

TEST(Threads, DestroyedUnderTheHandsOfOthers) {
  for (int round = 0; round < 50; ++round) {
    lts_space* space = nullptr;
    ASSERT_EQ(lts_space_from_json(kSpace, &space), LTS_OK);
    std::atomic<int> n_destroyed{0};
    in_threads([&](int t) {
      Text text;
      for (int i = 0; i < 20; ++i) {
        const lts_status status = t == 0 ? lts_space_destroy(space) : lts_space_size(space, text.out());
        ASSERT_TRUE(status == LTS_OK || status == LTS_BUSY || status == LTS_INVALID_HANDLE) << lts_last_error();
        if (t == 0 && status == LTS_OK) ++n_destroyed;
      }
    });
    // All destroys may have met a reader.
    EXPECT_EQ(lts_space_destroy(space), n_destroyed == 0 ? LTS_OK : LTS_INVALID_HANDLE);
    EXPECT_LE(n_destroyed, 1);
  }
}

TEST(Threads, EachHasItsOwnError) {
  lts_space* space = nullptr;
  ASSERT_EQ(lts_space_from_json("{", &space), LTS_INVALID_ARGUMENT);
  const std::string mine = lts_last_error();
  std::thread([] {
    EXPECT_STREQ(lts_last_error(), "");
    EXPECT_EQ(lts_archive_create(0, nullptr), LTS_INVALID_ARGUMENT);
  }).join();
  EXPECT_EQ(lts_last_error(), mine);
}

}  // namespace
}  // namespace lts::test
