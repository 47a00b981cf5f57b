#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "disturbance.hpp"
#include "environment.hpp"
#include "sampling.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

using Files = std::map<std::string, std::string>;
using Sentences = std::vector<std::string>;

const std::vector<std::int64_t> kClean(10, 0);
const std::vector<std::int64_t> kFaulty(10, 100);

void write(const TemporaryFolder& folder, const Files& files) {
  for (const auto& [name, text] : files) static_cast<void>(folder.write(name, text));
}

Doubts doubts(const Files& before, const Files& after, const std::vector<std::int64_t>& faults) {
  const TemporaryFolder folder;
  write(folder, before);
  const Watch watch(folder / "");
  write(folder, after);
  return watch.doubts(faults);
}

std::string cpu_file(const std::string& name) {
  return "sys/devices/system/cpu/cpu" + std::to_string(allowed_cpus().front()) + "/" + name;
}

std::string pressure(int total) {
  return "some avg10=0.00 avg60=0.00 avg300=0.00 total=" + std::to_string(total) + "\nfull avg10=0.00 total=0\n";
}

TEST(RunnerDisturbance, NoneOnAQuietMachine) {
  EXPECT_EQ(doubts({}, {}, kClean).warnings, Sentences{});
  EXPECT_EQ(doubts({}, {}, {}).warnings, Sentences{});
  auto few = kClean;
  few.front() = 5;
  EXPECT_FALSE(doubts({}, {}, few).disturbed) << "one run of ten";
}

TEST(RunnerDisturbance, SaysThatMemoryIsShort) {
  const Doubts found = doubts({}, {}, kFaulty);
  EXPECT_TRUE(found.disturbed);
  EXPECT_EQ(found.warnings, Sentences{"1000 major page faults in 10 of 10 timed runs: memory is short; times include "
                                      "reading from disk, peak memory is a lower bound"});
}

TEST(RunnerDisturbance, ReadsControlGroups) {
  const std::string groups = "sys/fs/cgroup/memory/";
  const Files first{{"proc/self/cgroup", "5:cpu:/\n4:memory:/outer/inner\n"},
                    {"proc/meminfo", "MemTotal: 8388608 kB\n"},
                    {"proc/vmstat", "pswpin 10\npswpout 0\n"},
                    {"proc/pressure/memory", pressure(1'000'000)},
                    {groups + "memory.limit_in_bytes", "9223372036854771712\n"},
                    {groups + "outer/memory.limit_in_bytes", "419430400\n"},
                    {groups + "outer/memory.failcnt", "5\n"},
                    {groups + "outer/inner/memory.failcnt", "0\n"}};
  const Files then{{"proc/pressure/memory", pressure(2'500'000)}, {groups + "outer/memory.failcnt", "62\n"}};
  EXPECT_EQ(doubts(first, then, kFaulty).warnings,
            Sentences{"1000 major page faults in 10 of 10 timed runs: memory is short (the memory limit is 400 MiB, "
                      "reached 57 times meanwhile, programs waited 1.5 s for memory); times include reading from disk, "
                      "peak memory is a lower bound"});
}

TEST(RunnerDisturbance, ReadsControlGroupsOfVersion2) {
  const std::string group = "sys/fs/cgroup/app/";
  const Files first{{"proc/self/cgroup", "0::/app\n"},
                    {group + "memory.max", "536870912\n"},
                    {group + "memory.events", "low 0\nhigh 0\nmax 7\noom 0\n"},
                    {group + "memory.pressure", pressure(300'000)}};
  const Files then{{group + "memory.events", "low 0\nhigh 0\nmax 9\noom 0\n"},
                   {group + "memory.pressure", pressure(600'000)}};
  const Doubts found = doubts(first, then, kFaulty);
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_NE(found.warnings[0].find("(the memory limit is 512 MiB, reached 2 times meanwhile, programs waited 0.3 s for "
                                   "memory)"),
            std::string::npos)
      << found.warnings[0];
}

TEST(RunnerDisturbance, SwappingOfOtherProgramsIsAWarningAlone) {
  const Doubts found = doubts({{"proc/vmstat", "pswpin 0\n"}}, {{"proc/vmstat", "pswpin 100000\n"}}, kClean);
  EXPECT_FALSE(found.disturbed);
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_TRUE(found.warnings[0].starts_with("the machine swapped "));
}

TEST(RunnerDisturbance, SaysThatTheProcessorIsSlower) {
  const std::string count = cpu_file("thermal_throttle/core_throttle_count");
  const std::string clock = cpu_file("cpufreq/scaling_cur_freq");
  EXPECT_EQ(doubts({{count, "7\n"}}, {{count, "9\n"}}, kClean).warnings,
            Sentences{"the processor was slowed down 2 times while the model ran: it is too hot"});
  EXPECT_EQ(doubts({}, {{"sys/devices/platform/soc/soc:firmware/get_throttled", "5\n"}}, kClean).warnings,
            Sentences{"the board reports under-voltage and slows its processor down; use a stronger power supply"});
  const Doubts hot = doubts({},
                            {{"sys/class/thermal/cooling_device0/type", "Processor\n"},
                             {"sys/class/thermal/cooling_device0/cur_state", "2\n"}},
                            kClean);
  EXPECT_TRUE(hot.disturbed);
  const Doubts slower = doubts({{clock, "1500000\n"}}, {{clock, "600000\n"}}, kClean);
  EXPECT_TRUE(slower.disturbed);
  EXPECT_EQ(slower.warnings, Sentences{"the clock of processor " + std::to_string(allowed_cpus().front()) +
                                       " went from 1500 to 600 MHz while the model ran"});
  EXPECT_FALSE(doubts({{clock, "1500000\n"}}, {{clock, "1400000\n"}}, kClean).disturbed);
}

/// A control group that has so much memory; `members` is empty where none can be made.
struct ControlGroup {
  explicit ControlGroup(std::int64_t bytes) {
    const bool first = access("/sys/fs/cgroup/memory/memory.limit_in_bytes", F_OK) == 0;
    folder = std::string(first ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup") + "/lts_runner_test_" +
             std::to_string(getpid());
    if (mkdir(folder.c_str(), 0755) != 0) return;
    std::ofstream limit(folder + (first ? "/memory.limit_in_bytes" : "/memory.max"));
    limit << bytes << std::flush;
    if (limit.good()) members = folder + (first ? "/tasks" : "/cgroup.procs");
  }
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;
  ~ControlGroup() { rmdir(folder.c_str()); }

  std::string folder;
  std::string members;
};

/// Reads a page of a file in every 4 KiB through a map, in a control group; 0 when that was seen to be disturbed.
int read_with_little_memory(const std::string& members, const std::string& path, std::size_t size) {
  std::ofstream entry(members);
  entry << getpid() << std::flush;
  if (!entry.good()) return 2;
  {
    std::ofstream file(path);
    const std::string block(std::size_t{1} << 20U, 'x');
    for (std::size_t written = 0; written < size; written += block.size()) file << block;
  }
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const mapped = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return 3;
  const volatile char* const bytes = static_cast<const char*>(mapped);
  int sum = 0;
  const auto read = [&] {
    for (std::size_t at = 0; at < size; at += 4096) sum += bytes[at];
  };
  const Timing timing = time_runs(read, {.min_time = 0, .max_time = 100, .min_repeats = 3});
  const bool said = timing.disturbed && timing.warnings.size() == 1 &&
                    timing.warnings[0].find("(the memory limit is 64 MiB, reached ") != std::string::npos;
  if (!said) std::cout << "warnings: " << (timing.warnings.empty() ? "none" : timing.warnings[0]) << "\n" << std::flush;
  return said ? 0 : 1;
}

TEST(RunnerDisturbance, SeesALimitOfMemory) {
  constexpr std::size_t kLimit = std::size_t{64} << 20U;
  const ControlGroup group(kLimit);
  if (group.members.empty()) GTEST_SKIP() << "no control group with a memory limit can be made here";
  const TemporaryFolder folder;
  const std::string path = folder.write("weights.bin", "");
  const pid_t child = fork();
  if (child == 0) _exit(read_with_little_memory(group.members, path, 2 * kLimit));
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace lts::runner
