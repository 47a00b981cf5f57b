#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lts::runner {

/// Every thread that this process has now, with how long it has been ready to run without a core; as in
/// python/lts/backends/run_queue.py.
///
/// Linux counts that as the second number of schedstat: what another program, or another thread of this one, had of the
/// core; waiting for the disk or for another thread is not in it. The files stay open, so that reading takes about a
/// microsecond per thread.
class RunQueue {
 public:
  /// @param tasks a folder with a folder for every thread, with a slash at its end
  explicit RunQueue(const std::string& tasks = "/proc/self/task/");
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;
  ~RunQueue();

  /// Whether the kernel counts; those without CONFIG_SCHED_INFO do not.
  [[nodiscard]] bool counts() const { return counts_; }

  /// Nanoseconds on the run queue so far, by thread; 0 for a thread that has ended.
  [[nodiscard]] std::vector<std::int64_t> waited_ns() const;

 private:
  std::vector<int> files_;
  bool counts_ = false;
};

/// The longest of the waits of the threads, between two readings.
std::int64_t longest_wait(const std::vector<std::int64_t>& before, const std::vector<std::int64_t>& after);

}  // namespace lts::runner
