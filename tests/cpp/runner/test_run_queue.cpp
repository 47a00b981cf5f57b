#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "run_queue.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

TEST(RunnerRunQueue, ReadsWhatEveryThreadWaited) {
  const TemporaryFolder folder;
  static_cast<void>(folder.write("1/schedstat", "1000 50 3\n"));
  static_cast<void>(folder.write("no_thread", "1 1 1\n"));
  const RunQueue queue(folder / "");
  EXPECT_TRUE(queue.counts());
  EXPECT_EQ(queue.waited_ns(), std::vector<std::int64_t>{50});
  static_cast<void>(folder.write("1/schedstat", "1100 9000000050 4\n"));
  EXPECT_EQ(queue.waited_ns(), std::vector<std::int64_t>{9'000'000'050});
}

TEST(RunnerRunQueue, KnowsWhenTheKernelDoesNotCount) {
  for (const char* const text : {"0 0 0\n", "", "no numbers", "12 13", "1 99999999999999999999 1"}) {
    const TemporaryFolder folder;
    static_cast<void>(folder.write("1/schedstat", text));
    const RunQueue queue(folder / "");
    EXPECT_FALSE(queue.counts()) << text;
    EXPECT_EQ(queue.waited_ns(), std::vector<std::int64_t>{0}) << text;
  }
  const TemporaryFolder folder;
  EXPECT_FALSE(RunQueue(folder / "missing/").counts());
}

TEST(RunnerRunQueue, TakesTheLongestWait) {
  EXPECT_EQ(longest_wait({}, {}), 0);
  EXPECT_EQ(longest_wait({5, 5, 5}, {6, 9, 7}), 4);
  EXPECT_EQ(longest_wait({5, 5}, {0, 5}), 0) << "a thread that has ended";
}

TEST(RunnerRunQueue, HasTheThreadsOfThisProcess) {
  const std::size_t before = RunQueue().waited_ns().size();
  std::size_t beside = 0;
  std::thread([&] { beside = RunQueue().waited_ns().size(); }).join();
  EXPECT_EQ(beside, before == 0 ? 0 : before + 1);
}

}  // namespace
}  // namespace lts::runner
