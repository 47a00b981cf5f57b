#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lts::runner {

/// How far the resident memory of this process rises above what it is now; as in python/lts/backends/timing.py.
///
/// Linux keeps the high-water mark of the resident set (VmHWM) and lets a process reset it. Code of the libraries that
/// are already loaded does not count, although it becomes resident only when it is used, because all of it is made
/// resident first. (That needs Linux 5.14; elsewhere the runtime's code counts, too, the same for every model.)
class PeakMemory {
 public:
  PeakMemory();

  /// The rise so far, in MiB; reasons to doubt it are added to `warnings`.
  [[nodiscard]] double mib(std::vector<std::string>& warnings) const;

 private:
  bool reset_;
  std::int64_t baseline_kib_;
};

/// The number of a line like "VmHWM:  1234 kB" in the text of /proc/self/status.
std::optional<std::int64_t> status_kib(std::string_view status, std::string_view name);

}  // namespace lts::runner
