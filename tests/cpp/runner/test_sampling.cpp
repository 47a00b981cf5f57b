#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <numeric>
#include <thread>
#include <vector>

#include "environment.hpp"
#include "run_queue.hpp"
#include "sampling.hpp"

namespace lts::runner {
namespace {

void spin(double seconds) {
  const double end = now() + seconds;
  while (now() < end) {
  }
}

TEST(RunnerSampling, TakesAtLeastTheSmallestNumber) {
  const Timing timing = time_runs([] { spin(0.001); }, {.min_time = 0, .min_repeats = 7});
  EXPECT_EQ(timing.samples_ns.size(), 7U);
  EXPECT_EQ(timing.wall_ns.size(), 7U);
  for (const auto sample : timing.wall_ns) EXPECT_GE(sample, 1'000'000);
}

TEST(RunnerSampling, TakesNoMoreThanTheLargestNumber) {
  int calls = 0;
  const Timing timing = time_runs([&] { ++calls; }, {.min_time = 100, .min_repeats = 10, .max_repeats = 15});
  EXPECT_EQ(timing.samples_ns.size(), 15U);
  EXPECT_GT(calls, 15) << "there is a warm-up";
  for (const auto sample : timing.samples_ns) EXPECT_GE(sample, 1);
}

TEST(RunnerSampling, GoesOnForTheShortestTime) {
  const double start = now();
  const Timing timing = time_runs([] { spin(0.001); }, {.min_time = 0.1, .min_repeats = 2});
  EXPECT_GE(now() - start, 0.1);
  EXPECT_GE(timing.samples_ns.size(), 2U);
}

TEST(RunnerSampling, IsContentWithSixSlowCalls) {
  const Timing timing = time_runs([] { spin(0.01); }, {.min_time = 0, .max_time = 0.001, .min_repeats = 100});
  EXPECT_EQ(timing.samples_ns.size(), 6U);
}

TEST(RunnerSampling, MarksExactlyTheSmallestNumber) {
  int calls = 0;
  const Timing timing = time_runs([&] { ++calls; }, {.min_time = 100, .min_repeats = 3, .mark = true});
  EXPECT_EQ(calls, 3) << "there is no warm-up";
  EXPECT_EQ(timing.samples_ns.size(), 3U);
}

std::int64_t median(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Work of always the same amount, and a moment of waiting.
void work() {
  volatile int sum = 0;
  for (int i = 0; i < 3'000'000; ++i) sum = i;
  static_cast<void>(sum);
  std::this_thread::sleep_for(std::chrono::microseconds(10));
}

void pin(std::size_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
}

TEST(RunnerSampling, LeavesOutWhatAnotherProgramHadOfTheCore) {
  if (!RunQueue().counts()) GTEST_SKIP() << "this kernel does not count waits for a core";
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  pin(allowed_cpus().back());
  bool found = false;
  // Another machine's share of the processor, or a clock that changes in between, is a reason to try again.
  for (int i = 0; i < 10 && !found; ++i) {
    const Sampling sampling{.min_time = 0, .max_time = 100, .min_repeats = 60};
    const std::int64_t alone = median(time_runs(work, sampling).samples_ns);
    const pid_t other = fork();
    if (other == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (volatile bool forever = true; forever;) {
      }
    }
    const Timing beside = time_runs(work, sampling);
    kill(other, SIGKILL);
    waitpid(other, nullptr, 0);
    EXPECT_GT(*std::min_element(beside.samples_ns.begin(), beside.samples_ns.end()), alone / 2)
        << "never is more subtracted than belongs to the call";
    const double ratio = static_cast<double>(median(beside.samples_ns)) / static_cast<double>(alone);
    // Short calls are disturbed now and then, so that their mean shows it.
    const double total = static_cast<double>(std::accumulate(beside.wall_ns.begin(), beside.wall_ns.end(), 0LL));
    const double wall = total / static_cast<double>(beside.wall_ns.size()) / static_cast<double>(alone);
    found = ratio > 0.8 && ratio < 1.25 && wall > 1.5;
    if (!found) std::cout << "time beside a competitor: " << ratio << ", on the wall " << wall << "\n";
  }
  EXPECT_TRUE(found);
  sched_setaffinity(0, sizeof before, &before);
}

TEST(RunnerSampling, CountsPageFaultsOfEveryCall) {
  const Timing timing = time_runs([] { spin(0.001); }, {.min_time = 0, .min_repeats = 7});
  EXPECT_EQ(timing.major_faults.size(), 7U);
  for (const auto faults : timing.major_faults) EXPECT_GE(faults, 0);
}

TEST(RunnerSampling, KnowsWhenACallWasDisturbed) {
  EXPECT_TRUE(disturbed(1, 0, 50, 100));
  EXPECT_FALSE(disturbed(0, 0, 50, 100)) << "nobody took the core";
  EXPECT_FALSE(disturbed(1, 1, 50, 100)) << "it has waited by itself";
  EXPECT_FALSE(disturbed(1, 0, 99, 100)) << "it had the core nearly all the time";
}

}  // namespace
}  // namespace lts::runner
