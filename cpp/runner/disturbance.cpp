#include "disturbance.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include "environment.hpp"
#include "peak_memory.hpp"
#include "proc.hpp"

namespace lts::runner {

namespace {

// Share of the runs that may read pages from disk: a few leave the median alone.
constexpr double kFaulty = 0.1;
// A clock that changes by less than this share is what clocks do.
constexpr double kClock = 0.2;
// Less swapped than this is no sign of anything.
constexpr std::int64_t kSwappedMib = 1;
// What the kernel shows where there is no limit is more than any machine has.
constexpr std::int64_t kNoLimit = std::int64_t{1} << 60U;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return std::nullopt;
  return value;
}

std::optional<std::int64_t> number_in(const std::string& path) { return number(read_text(path)); }

/// The rest of the line of a file that begins with a name.
std::string line_of(const std::string& path, const std::string& name) {
  std::istringstream lines(read_text(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) return line.substr(name.size() + 1);
  }
  return "";
}

/// Microseconds that some program waited, of a file like /proc/pressure/memory.
std::optional<std::int64_t> stalled(const std::string& path) {
  const std::string line = line_of(path, "some");
  const std::string key = "total=";
  const auto at = line.rfind(key);
  return at == std::string::npos ? std::nullopt : number(std::string_view(line).substr(at + key.size()));
}

/// Adds a folder and those around it, up to a base.
void add_folders(const std::string& base, std::string path, std::vector<std::string>& folders) {
  for (;;) {
    while (path.ends_with('/')) path.pop_back();
    const std::string folder = base + path;
    if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

/// Folders of the control groups of memory that this process is in, of both versions, from the innermost outwards.
std::vector<std::string> memory_groups(const std::string& root) {
  const std::string mount = root + "sys/fs/cgroup";
  std::vector<std::string> folders;
  std::istringstream lines(read_text(root + "proc/self/cgroup"));
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (line.starts_with("0:")) {
      for (const char* const base : {"", "/unified"}) add_folders(mount + base, path, folders);
    } else if (("," + controllers + ",").find(",memory,") != std::string::npos) {
      add_folders(mount + "/memory", path, folders);
      add_folders((mount + "/").append(controllers), path, folders);
    }
  }
  return folders;
}

/// The least memory limit of the control groups, where it is less than the memory of the machine.
std::optional<std::int64_t> memory_limit_mib(const std::string& root) {
  const auto total = status_kib("\n" + read_text(root + "proc/meminfo"), "MemTotal");
  std::int64_t limit = total ? *total * 1024 : kNoLimit;
  bool limited = false;
  for (const auto& folder : memory_groups(root)) {
    for (const char* const name : {"/memory.max", "/memory.limit_in_bytes"}) {
      const auto here = number_in(folder + name);
      if (!here || *here >= limit) continue;
      limit = *here;
      limited = true;
    }
  }
  return limited ? std::optional(limit >> 20U) : std::nullopt;
}

/// A sentence when the processor is slowed down now, because of heat or its power supply; else empty.
std::string throttled(const std::string& root) {
  for (int i = 0;; ++i) {
    const std::string folder = root + "sys/class/thermal/cooling_device" + std::to_string(i);
    const std::string type = read_text(folder + "/type");
    if (type.empty()) break;
    if (type == "Processor" && number_in(folder + "/cur_state").value_or(0) > 0) {
      return "the processor is slowed down because it is hot; let it cool before measuring";
    }
  }
  // On a Raspberry Pi, bits 0 to 3 say what holds now: under-voltage, frequency cap, throttling, soft limit.
  const std::string flags = read_text(root + "sys/devices/platform/soc/soc:firmware/get_throttled");
  const unsigned long now = std::strtoul(flags.c_str(), nullptr, 16) & 0xFU;
  if ((now & 1U) != 0) {
    return "the board reports under-voltage and slows its processor down; use a stronger power supply";
  }
  return now != 0 ? "the board slows its processor down because it is hot; let it cool before measuring" : "";
}

/// A sentence when a clock has changed; else empty.
std::string changed_clock(const std::map<std::size_t, std::int64_t>& before,
                          const std::map<std::size_t, std::int64_t>& after) {
  for (const auto& [cpu, now] : after) {
    const auto at = before.find(cpu);
    if (at == before.end()) continue;
    const std::int64_t then = at->second;
    if (static_cast<double>(std::abs(now - then)) > kClock * static_cast<double>(std::max(now, then))) {
      return "the clock of processor " + std::to_string(cpu) + " went from " + std::to_string(then) + " to " +
             std::to_string(now) + " MHz while the model ran";
    }
  }
  return "";
}

}  // namespace

Watch::Watch(std::string root) : root_(std::move(root)), before_(counters()) {}

Watch::Counters Watch::counters() const {
  Counters found;
  std::optional<std::int64_t> waited;
  for (const auto& folder : memory_groups(root_)) {
    auto limited = number_in(folder + "/memory.failcnt");
    if (!limited) limited = number(line_of(folder + "/memory.events", "max"));
    if (limited) found.limited[folder] = *limited;
    if (!waited) waited = stalled(folder + "/memory.pressure");
  }
  if (!waited) waited = stalled(root_ + "proc/pressure/memory");
  found.stalled_us = waited.value_or(0);
  for (const char* const name : {"pswpin", "pswpout"}) {
    found.swapped += number(line_of(root_ + "proc/vmstat", name)).value_or(0);
  }
  for (const auto cpu : allowed_cpus()) {
    const std::string folder = root_ + "sys/devices/system/cpu/cpu" + std::to_string(cpu);
    for (const char* const name :
         {"/thermal_throttle/core_throttle_count", "/thermal_throttle/package_throttle_count"}) {
      found.throttled += number_in(folder + name).value_or(0);
    }
    const auto khz = number_in(folder + "/cpufreq/scaling_cur_freq").value_or(0);
    if (khz >= 1000) found.mhz[cpu] = khz / 1000;
  }
  return found;
}

std::string Watch::shortage(const Counters& after, std::int64_t swapped_mib) const {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? " (" : ", ") + part; };
  if (const auto limit = memory_limit_mib(root_)) {
    std::int64_t reached = 0;
    for (const auto& [folder, n] : after.limited) {
      const auto at = before_.limited.find(folder);
      if (at != before_.limited.end()) reached = std::max(reached, n - at->second);
    }
    add("the memory limit is " + std::to_string(*limit) + " MiB, reached " + std::to_string(reached) +
        " times meanwhile");
  }
  if (const auto waited = after.stalled_us - before_.stalled_us; waited > 0) {
    std::array<char, 32> seconds{};
    std::snprintf(seconds.data(), seconds.size(), "%.1f", static_cast<double>(waited) * 1e-6);
    add("programs waited " + std::string(seconds.data()) + " s for memory");
  }
  if (swapped_mib >= kSwappedMib) add(std::to_string(swapped_mib) + " MiB were swapped");
  return text.empty() ? text : text + ")";
}

Doubts Watch::doubts(const std::vector<std::int64_t>& major_faults) const {
  const Counters after = counters();
  Doubts found;
  const auto disturbed = [&](const std::string& sentence) {
    found.warnings.push_back(sentence);
    found.disturbed = true;
  };
  const std::int64_t swapped = (after.swapped - before_.swapped) * sysconf(_SC_PAGESIZE) / (std::int64_t{1} << 20U);
  const auto runs = static_cast<std::int64_t>(major_faults.size());
  const auto faulty = std::count_if(major_faults.begin(), major_faults.end(), [](std::int64_t n) { return n > 0; });
  if (static_cast<double>(faulty) > kFaulty * static_cast<double>(runs)) {
    const auto total = std::accumulate(major_faults.begin(), major_faults.end(), std::int64_t{0});
    disturbed(std::to_string(total) + " major page faults in " + std::to_string(faulty) + " of " +
              std::to_string(runs) + " timed runs: memory is short" + shortage(after, swapped) +
              "; times include reading from disk, peak memory is a lower bound");
  } else if (swapped >= kSwappedMib) {
    found.warnings.push_back("the machine swapped " + std::to_string(swapped) +
                             " MiB while the model ran: its memory is short");
  }
  if (const auto n = after.throttled - before_.throttled; n > 0) {
    disturbed("the processor was slowed down " + std::to_string(n) + " times while the model ran: it is too hot");
  } else if (const std::string sentence = throttled(root_); !sentence.empty()) {
    disturbed(sentence);
  }
  if (const std::string sentence = changed_clock(before_.mhz, after.mhz); !sentence.empty()) disturbed(sentence);
  return found;
}

}  // namespace lts::runner
