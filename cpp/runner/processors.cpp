#include "processors.hpp"

#include <sched.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "error.hpp"

namespace lts::runner {

namespace {

/// The processors and threads with which this process runs models.
struct Processors {
  std::vector<std::size_t> cpus;
  int threads = 1;
  bool pinned = true;
};
std::optional<Processors> processors;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): the process's

void set_processors(const std::vector<std::size_t>& cpus, int number) {
  Processors wanted{.cpus = cpus, .threads = number};
  if (!wanted.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const auto cpu : wanted.cpus) CPU_SET(cpu, &set);
    wanted.pinned = sched_setaffinity(0, sizeof set, &set) == 0;
  }
  const std::string threads = std::to_string(wanted.threads);
  setenv("TVM_NUM_THREADS", threads.c_str(), 1);
  setenv("OMP_NUM_THREADS", threads.c_str(), 1);
  setenv("TVM_BIND_THREADS", "0", 1);  // TVM would pin threads to processors that are not ours
  processors = std::move(wanted);
}

}  // namespace

void use_processors(const std::vector<std::size_t>& cpus, int threads, std::vector<std::string>& warnings) {
  if (!processors) set_processors(cpus, threads);
  if (processors->threads != threads) {
    fail({"this process runs models with 'threads' = ", std::to_string(processors->threads), ", not ",
          std::to_string(threads), ": use another process"});
  }
  if (processors->cpus != cpus) {
    fail({"this process runs models on other processors than the 'cpus' of the request: use another process"});
  }
  // The process may have lost the chosen processors since; then the model runs on those that are allowed.
  if (!processors->pinned) {
    warnings.emplace_back("the process cannot be pinned to the processors that were asked for");
  }
}

}  // namespace lts::runner
