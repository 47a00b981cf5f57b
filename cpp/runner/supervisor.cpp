#include "supervisor.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <optional>

#include "child.hpp"
#include "error.hpp"
#include "lines.hpp"
#include "response.hpp"
#include "sampling.hpp"

namespace lts::runner {

namespace {

void ignore(int /*signal*/) {}

/// Delivers SIGCHLD only while waiting, so that the end of a child is never missed.
class ChildSignal {
 public:
  ChildSignal() {
    struct sigaction action {};
    action.sa_handler = ignore;
    action.sa_flags = SA_RESTART;
    sigaction(SIGCHLD, &action, nullptr);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_BLOCK, &blocked, &before_);
  }
  ~ChildSignal() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  ChildSignal(const ChildSignal&) = delete;
  ChildSignal& operator=(const ChildSignal&) = delete;

  /// Waits for a file, the end of a child, or the given number of seconds.
  void wait(std::array<pollfd, 3>& files, double seconds) const {
    const double whole = std::floor(seconds);
    timespec time{};
    if (std::isfinite(seconds)) {
      time.tv_sec = static_cast<time_t>(whole);
      time.tv_nsec = static_cast<long>((seconds - whole) * 1e9);
    }
    sigset_t mask = before_;
    sigdelset(&mask, SIGCHLD);
    ppoll(files.data(), files.size(), std::isfinite(seconds) ? &time : nullptr, &mask);
  }

 private:
  sigset_t before_{};
};

bool is_plain_file(int file) {
  struct stat status {};
  return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

/// Waits for the child's answer; nothing when the input ends before.
std::optional<std::string> outcome(Child& child, double timeout, LineReader& lines, int in, const ChildSignal& signal) {
  const double deadline = now() + timeout;
  const bool watch = !is_plain_file(in);
  while (!child.ended()) {
    const double left = deadline - now();
    if (left <= 0) {
      child.kill();
      return error_line(timed_out(timeout));
    }
    // A file that is not watched has a negative number. Without room for more input, only its end is watched for.
    const short input = lines.wants_more() ? POLLIN : 0;
    std::array<pollfd, 3> files{{{.fd = watch ? in : -1, .events = input, .revents = 0},
                                 {.fd = child.result_file(), .events = POLLIN, .revents = 0},
                                 {.fd = child.stderr_file(), .events = POLLIN, .revents = 0}}};
    signal.wait(files, left);
    child.read();
    if (files[0].revents == 0) continue;
    if ((input != 0 && !lines.read()) || (input == 0 && (files[0].revents & (POLLHUP | POLLERR)) != 0)) {
      return std::nullopt;
    }
  }
  return child.answer();
}

}  // namespace

End supervise(int in, int out, const Check& check, const Answer& answer) {
  const ChildSignal signal;
  LineReader lines(in);
  while (const auto line = wait_for_line(lines)) {
    std::optional<std::string> response;
    if (line->too_long) {
      response = error_line("the request is longer than 1 MiB");
    } else if (const Task task = check(line->text); !task.error.empty()) {
      response = task.error;
    } else {
      try {
        Child child(line->text, answer);
        response = outcome(child, task.timeout, lines, in, signal);
      } catch (const Error& error) {
        response = error_line(error.what());
      }
    }
    if (!response) {
      write_all(STDERR_FILENO, "lts-runner: the input was closed before the run had ended\n");
      return End::input_ended;
    }
    if (const int error = write_all(out, *response); error != 0) {
      write_all(STDERR_FILENO, "lts-runner: cannot write the result: " + reason(error) + "\n");
      return End::output_failed;
    }
  }
  return End::input_ended;
}

}  // namespace lts::runner
