#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lts::runner {

/// How long to sample.
struct Sampling {
  int threads = 1;
  double min_time = 0.3;  ///< seconds
  double max_time = 1.0;  ///< seconds
  std::int64_t min_repeats = 10;
  std::int64_t max_repeats = 1000;
  bool mark = false;  ///< count, do not time: see `time_runs`
};

/// What calls took, in order, and reasons to doubt that.
struct Timing {
  std::vector<std::int64_t> samples_ns;    ///< nanoseconds of every call, see `time_runs`
  std::vector<std::int64_t> wall_ns;       ///< the same on the wall
  std::vector<std::int64_t> major_faults;  ///< pages that every call waited for, because they had to be read from disk
  std::vector<std::string> warnings;       ///< see `Doubts`
  bool disturbed = false;                  ///< see `Doubts`
};

/// Calls a function again and again, and times every call; the rules are those of python/lts/backends/timing.py.
///
/// The first calls warm up: one, and for fast models as many as fit into 0.03 s. Sampling ends after at least
/// `min_repeats` calls and `min_time` seconds, or `max_repeats` calls, or, when calls take so long, 6 calls and
/// `max_time` seconds, where that is more than `min_time`.
///
/// A sample is the wall time of a call, less the longest time that a thread waited for a core that another program had
/// (see `RunQueue`): what the call would have taken had it kept the core. Where the kernel does not count that, a call
/// of a single thread that was preempted, and did not wait by itself, counts as its processor time.
///
/// With `mark`, there is no warm-up and there are exactly `min_repeats` calls. Right before the first and right after
/// each of them comes the system call prctl(0x4c5453, n, 0, 0, 0) with n = 0, 1, 2, ..., which does nothing: an
/// emulator can count instructions between them.
Timing time_runs(const std::function<void()>& function, const Sampling& sampling);

/// Whether a call of a single thread was disturbed, where the kernel does not count waits for a core: it was preempted,
/// did not wait by itself, and had less processor time than wall time. The arguments are the increases of the process's
/// counters during the call.
bool disturbed(std::int64_t involuntary_switches, std::int64_t voluntary_switches, std::int64_t cpu_ns,
               std::int64_t wall_ns);

/// Seconds on a monotonic clock.
double now();

}  // namespace lts::runner
