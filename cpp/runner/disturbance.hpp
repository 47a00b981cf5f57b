#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lts::runner {

/// Reasons to doubt what was measured, one sentence each; `disturbed` when it does not show what the model takes.
struct Doubts {
  std::vector<std::string> warnings;
  bool disturbed = false;
};

/// The kernel's counters of what disturbs a run, from when this is made; as in python/lts/system/disturbance.py. What
/// cannot be read is taken as undisturbed.
class Watch {
 public:
  /// @param root root of the file system that /proc and /sys are read from, with a slash at its end
  explicit Watch(std::string root = "/");

  /// What has happened since, given the major page faults of every run.
  [[nodiscard]] Doubts doubts(const std::vector<std::int64_t>& major_faults) const;

 private:
  struct Counters {
    std::map<std::string, std::int64_t> limited;  ///< how often the memory limit was reached, by control group
    std::int64_t stalled_us = 0;                  ///< that programs waited for memory
    std::int64_t swapped = 0;                     ///< pages to and from swap
    std::int64_t throttled = 0;                   ///< how often a processor was too hot
    std::map<std::size_t, std::int64_t> mhz;      ///< clocks of this process's processors
  };
  [[nodiscard]] Counters counters() const;
  [[nodiscard]] std::string shortage(const Counters& after, std::int64_t swapped_mib) const;

  std::string root_;
  Counters before_;
};

}  // namespace lts::runner
