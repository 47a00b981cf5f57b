#include "environment.hpp"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "peak_memory.hpp"
#include "proc.hpp"

namespace lts::runner {

namespace {

struct ArmPart {
  long number;
  std::string_view name;
};
// Parts of Arm's own cores as /proc/cpuinfo numbers them; the same as in python/lts/system/machine.py.
constexpr std::array<ArmPart, 17> kArmParts{{
    {0xD03, "cortex-a53"},
    {0xD04, "cortex-a35"},
    {0xD05, "cortex-a55"},
    {0xD07, "cortex-a57"},
    {0xD08, "cortex-a72"},
    {0xD09, "cortex-a73"},
    {0xD0A, "cortex-a75"},
    {0xD0B, "cortex-a76"},
    {0xD0C, "neoverse-n1"},
    {0xD0D, "cortex-a77"},
    {0xD40, "neoverse-v1"},
    {0xD41, "cortex-a78"},
    {0xD44, "cortex-x1"},
    {0xD46, "cortex-a510"},
    {0xD47, "cortex-a710"},
    {0xD49, "neoverse-n2"},
    {0xD4F, "neoverse-v2"},
}};

/// The first value of a key in the text of /proc/cpuinfo.
std::string cpuinfo_value(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.starts_with(key)) continue;
    const auto rest = line.substr(key.size());
    const auto colon = rest.find_first_not_of(" \t");
    if (colon == std::string_view::npos || rest[colon] != ':') continue;
    const auto value = rest.find_first_not_of(" \t", colon + 1);
    return value == std::string_view::npos ? "" : std::string(rest.substr(value));
  }
  return "";
}

std::string cpu_model(const std::string& root) {
  const std::string info = read_text(root + "proc/cpuinfo");
  if (auto name = cpuinfo_value(info, "model name"); !name.empty()) return name;
  if (cpuinfo_value(info, "CPU implementer") == "0x41") {
    const long part = std::strtol(cpuinfo_value(info, "CPU part").c_str(), nullptr, 16);
    for (const auto& known : kArmParts) {
      if (known.number == part) return std::string(known.name);
    }
  }
  for (auto name : {read_text(root + "sys/firmware/devicetree/base/model"), cpuinfo_value(info, "Hardware")}) {
    if (!name.empty()) return name;
  }
  return "unknown";
}

std::string cpu_folder(const std::string& root, std::size_t cpu) {
  return root + "sys/devices/system/cpu/cpu" + std::to_string(cpu);
}

int count_cores(const std::string& root, const std::vector<std::size_t>& cpus) {
  std::set<std::pair<std::string, std::string>> cores;
  for (const auto cpu : cpus) {
    const std::string topology = cpu_folder(root, cpu) + "/topology/";
    const std::string core = read_text(topology + "core_id");
    // Where the kernel does not say, every logical processor is a core.
    if (core.empty()) cores.emplace("cpu", std::to_string(cpu));
    if (!core.empty()) cores.emplace(read_text(topology + "physical_package_id"), core);
  }
  return static_cast<int>(cores.size());
}

}  // namespace

std::vector<std::size_t> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<std::size_t> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

Environment environment(const std::string& root) {
  const auto cpus = allowed_cpus();
  Environment result;
  result.cpu = cpu_model(root);
  result.cores = count_cores(root, cpus);
  result.governor = read_text(cpu_folder(root, cpus.front()) + "/cpufreq/scaling_governor");
  result.memory_mib = status_kib("\n" + read_text(root + "proc/meminfo"), "MemTotal").value_or(0) / 1024;
  result.triple = triple();
  utsname names{};
  if (uname(&names) == 0) result.kernel = std::string(names.release);
  return result;
}

std::string triple() {
#if defined(__x86_64__)
  const std::string machine = "x86_64";
#elif defined(__aarch64__)
  const std::string machine = "aarch64";
#elif defined(__i386__)
  const std::string machine = "i686";
#elif defined(__arm__)
  const std::string machine = "armv7l";
#elif defined(__riscv)
  const std::string machine = "riscv64";
#else
  const std::string machine = "unknown";
#endif
#if defined(__GLIBC__)
  const std::string library = "gnu";
#else
  const std::string library = "musl";
#endif
#if defined(__arm__)
  return machine + "-linux-" + library + "eabihf";
#else
  return machine + "-linux-" + library;
#endif
}

}  // namespace lts::runner
