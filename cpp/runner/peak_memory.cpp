#include "peak_memory.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>

#include "proc.hpp"

namespace lts::runner {

namespace {

#ifndef MADV_POPULATE_READ
constexpr int MADV_POPULATE_READ = 22;  // NOLINT(readability-identifier-naming): the C library's name
#endif

void make_libraries_resident() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    unsigned long start = 0;
    unsigned long end = 0;
    char readable = 0;
    char writable = 0;
    // NOLINTNEXTLINE(cert-err34-c): what is no number is no line of a map
    if (std::sscanf(line.c_str(), "%lx-%lx %c%c", &start, &end, &readable, &writable) != 4) continue;
    if (readable == 'r' && writable == '-' && line.find(".so") != std::string::npos) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel gives addresses as text
      madvise(reinterpret_cast<void*>(start), end - start, MADV_POPULATE_READ);
    }
  }
}

/// Resets the peak to the memory that is resident now; false when the kernel does not do that.
bool reset_peak() {
  make_libraries_resident();
  std::ofstream file("/proc/self/clear_refs");
  file << '5' << std::flush;
  return file.good();
}

}  // namespace

std::optional<std::int64_t> status_kib(std::string_view status, std::string_view name) {
  const std::string key = "\n" + std::string(name) + ":";
  const auto at = status.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  status.remove_prefix(at + key.size());
  status.remove_prefix(std::min(status.size(), status.find_first_not_of(" \t")));
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(status.data(), status.data() + status.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

PeakMemory::PeakMemory()
    : reset_(reset_peak()), baseline_kib_(status_kib(read_text("/proc/self/status"), "VmRSS").value_or(0)) {}

double PeakMemory::mib(std::vector<std::string>& warnings) const {
  if (!reset_) {
    warnings.emplace_back("the kernel does not reset the peak of memory: it includes what came before the model");
  }
  auto peak = status_kib(read_text("/proc/self/status"), "VmHWM");
  if (!peak) {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    peak = usage.ru_maxrss;
    warnings.emplace_back("peak memory is ru_maxrss: it includes what came before the model");
  }
  return static_cast<double>(std::max<std::int64_t>(0, *peak - baseline_kib_)) / 1024;
}

}  // namespace lts::runner
