#pragma once

#include <cstdint>
#include <functional>
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

/// Nanoseconds of every call, in order: the sample (see `time_runs`), and the wall time.
struct Timing {
  std::vector<std::int64_t> samples_ns;
  std::vector<std::int64_t> wall_ns;
};

/// Calls a function again and again, and times every call; the rules are those of python/lts/backends/timing.py.
///
/// The first calls warm up: one, and for fast models as many as fit into 0.03 s. Sampling ends after at least
/// `min_repeats` calls and `min_time` seconds, or `max_repeats` calls, or, when calls take so long, 6 calls and
/// `max_time` seconds, where that is more than `min_time`.
///
/// A sample is the wall time of a call. But when the kernel gave the core to another program during a call of a single
/// thread, it is the processor time of that call: what the call would have taken had it kept the core.
///
/// With `mark`, there is no warm-up and there are exactly `min_repeats` calls. Right before the first and right after
/// each of them comes the system call prctl(0x4c5453, n, 0, 0, 0) with n = 0, 1, 2, ..., which does nothing: an
/// emulator can count instructions between them.
Timing time_runs(const std::function<void()>& function, const Sampling& sampling);

/// Whether a call of a single thread was disturbed: it was preempted, did not wait by itself, and had less processor
/// time than wall time. The arguments are the increases of the process's counters during the call.
bool disturbed(std::int64_t involuntary_switches, std::int64_t voluntary_switches, std::int64_t cpu_ns,
               std::int64_t wall_ns);

/// Seconds on a monotonic clock.
double now();

}  // namespace lts::runner
