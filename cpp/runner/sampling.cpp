#include "sampling.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <ctime>
#include <utility>
#include <vector>

#include "disturbance.hpp"
#include "run_queue.hpp"

namespace lts::runner {

namespace {

constexpr double kWarmUp = 0.03;
// The fewest samples whose range covers the median with 95 % probability, for models so slow that more would exceed
// max_time.
constexpr std::int64_t kFewest = 6;
// Processor time below this share of the wall time of a run means that the core did something else meanwhile.
constexpr double kUndisturbed = 0.98;
// The clock and the waits are read together when that took fewer nanoseconds, and else again, so many times.
constexpr std::int64_t kAtOnce = 200'000;
constexpr int kAttempts = 5;
// "LTS": no option of prctl has this number.
constexpr int kMark = 0x4c5453;

std::int64_t nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

rusage usage() {
  rusage result{};
  getrusage(RUSAGE_SELF, &result);
  return result;
}

/// What threads have waited, between two readings of the clock.
struct Moment {
  std::int64_t before = 0;
  std::vector<std::int64_t> waited;
  std::int64_t after = 0;
};

/// Reads again when another program came between.
Moment moment(const RunQueue& queue) {
  Moment result;
  for (int i = 0; i < kAttempts; ++i) {
    result.before = nanoseconds(CLOCK_MONOTONIC);
    result.waited = queue.waited_ns();
    result.after = nanoseconds(CLOCK_MONOTONIC);
    if (result.after - result.before < kAtOnce) break;
  }
  return result;
}

void sample(const std::function<void()>& function, const Sampling& sampling, const RunQueue& queue, Timing& timing) {
  const rusage before = usage();
  // Asking for processor time invites the kernel to switch, so it is asked for only where it is needed.
  std::int64_t cpu = queue.counts() ? 0 : nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
  const Moment start = moment(queue);
  function();
  const Moment end = moment(queue);
  const std::int64_t wall = end.before - start.after;
  std::int64_t lost = longest_wait(start.waited, end.waited);
  if (!queue.counts()) cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  const rusage after = usage();
  if (!queue.counts()) {
    const bool own = sampling.threads == 1 &&
                     disturbed(after.ru_nivcsw - before.ru_nivcsw, after.ru_nvcsw - before.ru_nvcsw, cpu, wall);
    lost = own ? wall - cpu : 0;
  }
  timing.samples_ns.push_back(std::max<std::int64_t>(1, wall - lost));
  timing.wall_ns.push_back(wall);
  timing.major_faults.push_back(after.ru_majflt - before.ru_majflt);
}

Timing mark_runs(const std::function<void()>& function, const Sampling& sampling) {
  Timing timing;
  // All memory is allocated before the first mark, or it would count for a call.
  const auto n = static_cast<std::size_t>(sampling.min_repeats);
  timing.samples_ns.reserve(n);
  timing.wall_ns.reserve(n);
  prctl(kMark, 0, 0, 0, 0);
  for (std::size_t i = 1; i <= n; ++i) {
    const std::int64_t start = nanoseconds(CLOCK_MONOTONIC);
    function();
    prctl(kMark, i, 0, 0, 0);
    timing.wall_ns.push_back(nanoseconds(CLOCK_MONOTONIC) - start);
    timing.samples_ns.push_back(std::max<std::int64_t>(1, timing.wall_ns.back()));
  }
  return timing;
}

}  // namespace

double now() { return static_cast<double>(nanoseconds(CLOCK_MONOTONIC)) * 1e-9; }

bool disturbed(std::int64_t involuntary_switches, std::int64_t voluntary_switches, std::int64_t cpu_ns,
               std::int64_t wall_ns) {
  // A call that waits by itself, say for the disk, switches voluntarily: that time is its own.
  const bool preempted = involuntary_switches > 0 && voluntary_switches == 0;
  return preempted && static_cast<double>(cpu_ns) < kUndisturbed * static_cast<double>(wall_ns);
}

Timing time_runs(const std::function<void()>& function, const Sampling& sampling) {
  if (sampling.mark) return mark_runs(function, sampling);
  double start = now();
  do {
    function();
  } while (now() - start < kWarmUp);
  Timing timing;
  const Watch watch;
  const RunQueue queue;  // after the warm-up: the threads that run the model exist
  const double max_time = std::max(sampling.max_time, sampling.min_time);
  start = now();
  for (std::int64_t n = 0; n < sampling.max_repeats; ++n) {
    const double elapsed = now() - start;
    if (n >= sampling.min_repeats && elapsed >= sampling.min_time) break;
    if (n >= kFewest && elapsed >= max_time) break;
    sample(function, sampling, queue, timing);
  }
  Doubts doubts = watch.doubts(timing.major_faults);
  timing.warnings = std::move(doubts.warnings);
  timing.disturbed = doubts.disturbed;
  return timing;
}

}  // namespace lts::runner
