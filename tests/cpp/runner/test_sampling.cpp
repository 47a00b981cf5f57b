#include <gtest/gtest.h>

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

TEST(RunnerSampling, KnowsWhenACallWasDisturbed) {
  EXPECT_TRUE(disturbed(1, 0, 50, 100));
  EXPECT_FALSE(disturbed(0, 0, 50, 100)) << "nobody took the core";
  EXPECT_FALSE(disturbed(1, 1, 50, 100)) << "it has waited by itself";
  EXPECT_FALSE(disturbed(1, 0, 99, 100)) << "it had the core nearly all the time";
}

}  // namespace
}  // namespace lts::runner
