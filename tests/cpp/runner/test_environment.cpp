#include <gtest/gtest.h>
#include <sched.h>

#include <string>

#include "environment.hpp"
#include "peak_memory.hpp"
#include "proc.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

TEST(RunnerEnvironment, OfThisMachine) {
  const Environment here = environment();
  EXPECT_NE(here.cpu, "");
  EXPECT_GE(here.cores, 1);
  EXPECT_GT(here.memory_mib, 0);
  EXPECT_NE(here.kernel, "");
  EXPECT_NE(here.triple.find("-linux-"), std::string::npos);
}

TEST(RunnerEnvironment, NamesProcessorsAsTheKernelShowsThem) {
  const auto cpu = [](const std::string& cpuinfo, const std::string& board = "") {
    const TemporaryFolder folder;
    static_cast<void>(folder.write("proc/cpuinfo", cpuinfo));
    if (!board.empty()) static_cast<void>(folder.write("sys/firmware/devicetree/base/model", board));
    return environment(folder / "").cpu;
  };
  EXPECT_EQ(cpu("processor\t: 0\nmodel name\t: Fast One\nmodel name\t: Other\n"), "Fast One");
  EXPECT_EQ(cpu("CPU implementer\t: 0x41\nCPU part\t: 0xd08\n", "Raspberry Pi 4"), "cortex-a72");
  EXPECT_EQ(cpu("CPU implementer\t: 0x41\nCPU part\t: 0xfff\n", std::string("Some Board\0", 11)), "Some Board");
  EXPECT_EQ(cpu("CPU implementer\t: 0x51\nCPU part\t: 0xd08\nHardware\t: Chip\n"), "Chip");
  EXPECT_EQ(cpu("model name without a colon\nHardware:"), "unknown");
  EXPECT_EQ(cpu(""), "unknown");
}

TEST(RunnerEnvironment, ReadsOtherFacts) {
  const TemporaryFolder folder;
  static_cast<void>(folder.write("proc/meminfo", "MemTotal:        2048000 kB\nMemFree: 1 kB\n"));
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string path = "sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/";
    static_cast<void>(folder.write(path + "cpufreq/scaling_governor", "powersave\n"));
    static_cast<void>(folder.write(path + "topology/core_id", "0\n"));
  }
  const Environment found = environment(folder / "");
  EXPECT_EQ(found.memory_mib, 2000);
  EXPECT_EQ(found.governor, "powersave");
  EXPECT_EQ(found.cores, 1) << "all are threads of one core";
}

TEST(RunnerEnvironment, ReadsSmallFiles) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_text(folder.write("a", " \n text with  spaces\n\n")), "text with  spaces");
  EXPECT_EQ(read_text(folder / "missing"), "");
}

TEST(RunnerPeakMemory, ReadsTheKernelsNumbers) {
  const std::string status = "Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\tno kB\n";
  EXPECT_EQ(status_kib(status, "VmHWM"), 1234);
  EXPECT_FALSE(status_kib(status, "VmRSS").has_value());
  EXPECT_FALSE(status_kib(status, "VmSwap").has_value());
  EXPECT_FALSE(status_kib("\nVmHWM:", "VmHWM").has_value());
}

TEST(RunnerPeakMemory, RisesWithWhatIsUsed) {
  const PeakMemory memory;
  std::vector<std::string> warnings;
  const double before = memory.mib(warnings);
  {
    std::string used(std::size_t{64} << 20U, 'x');
    EXPECT_EQ(used[1000], 'x');
  }
  if (!warnings.empty()) GTEST_SKIP() << warnings.front();
  EXPECT_GE(memory.mib(warnings), before + 60) << "a peak does not go away";
}

}  // namespace
}  // namespace lts::runner
