#include "child.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "error.hpp"
#include "lines.hpp"
#include "response.hpp"

namespace lts::runner {

namespace {

constexpr std::size_t kLastWords = 4096;
constexpr std::size_t kMaxAnswer = std::size_t{256} << 20U;

// Names of signals, which the C library has only since version 2.32.
struct SignalName {
  int number;
  std::string_view name;
};
constexpr std::array<SignalName, 14> kSignals{{{SIGHUP, "SIGHUP"},
                                               {SIGINT, "SIGINT"},
                                               {SIGQUIT, "SIGQUIT"},
                                               {SIGILL, "SIGILL"},
                                               {SIGTRAP, "SIGTRAP"},
                                               {SIGABRT, "SIGABRT"},
                                               {SIGBUS, "SIGBUS"},
                                               {SIGFPE, "SIGFPE"},
                                               {SIGKILL, "SIGKILL"},
                                               {SIGSEGV, "SIGSEGV"},
                                               {SIGALRM, "SIGALRM"},
                                               {SIGTERM, "SIGTERM"},
                                               {SIGXCPU, "SIGXCPU"},
                                               {SIGSYS, "SIGSYS"}}};

/// A pipe whose read end does not block.
class Pipe {
 public:
  Pipe() {
    if (pipe2(ends_.data(), O_CLOEXEC) != 0) fail({"cannot make a pipe: ", reason(errno)});
    fcntl(ends_[0], F_SETFL, O_NONBLOCK);
  }
  ~Pipe() {
    for (const int end : ends_) {
      if (end >= 0) close(end);
    }
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  [[nodiscard]] int write_end() const { return ends_[1]; }
  /// The read end, which the caller has to close.
  int take_read_end() { return std::exchange(ends_[0], -1); }

 private:
  std::array<int, 2> ends_{-1, -1};
};

/// Appends what there is to read; closes the file at its end.
void take(int& file, std::string& text) {
  std::array<char, 65536> chunk{};
  while (file >= 0) {
    const auto n = ::read(file, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      close(file);
      file = -1;
      return;
    }
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

[[noreturn]] void run_child(pid_t parent, int result, int errors, std::string_view line, const Answer& answer) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  sigset_t none;
  sigemptyset(&none);
  signal(SIGCHLD, SIG_DFL);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &no_core);
  // When memory runs out, the kernel is to kill the model.
  if (const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC); file >= 0) {
    write_all(file, "1000");
    close(file);
  }
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(errors, STDOUT_FILENO);  // what a model prints must not get into the answers
  dup2(errors, STDERR_FILENO);
  const int error = write_all(result, answer(line));
  // Without any clean-up that could crash or hang after the result is known.
  _exit(error == 0 ? 0 : 1);
}

}  // namespace

Child::Child(std::string_view line, const Answer& answer) {
  Pipe result;
  Pipe errors;
  const pid_t parent = getpid();
  const pid_t process = fork();
  if (process < 0) fail({"cannot start a process: ", reason(errno)});
  if (process == 0) run_child(parent, result.write_end(), errors.write_end(), line, answer);
  setpgid(process, process);  // the child does the same: it holds whichever of the two runs first
  process_ = process;         // NOLINT(cppcoreguidelines-prefer-member-initializer): it has to come after the pipes
  result_ = result.take_read_end();
  stderr_ = errors.take_read_end();
}

Child::~Child() {
  if (!status_) {
    kill();
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (result_ >= 0) close(result_);
  if (stderr_ >= 0) close(stderr_);
}

void Child::kill() const {
  ::kill(-process_, SIGKILL);
  ::kill(process_, SIGKILL);
}

void Child::read() {
  take(result_, line_);
  if (line_.size() > kMaxAnswer) kill();
  std::string fresh;
  take(stderr_, fresh);
  write_all(STDERR_FILENO, fresh);
  said_ += fresh;
  if (said_.size() > kLastWords) said_.erase(0, said_.size() - kLastWords);
}

bool Child::ended() {
  if (status_) return true;
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) {
    return false;
  }
  ::kill(-process_, SIGKILL);  // processes that it has started and left behind
  int status = 0;
  while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  status_ = status;
  read();
  return true;
}

std::string Child::answer() const {
  if (line_.ends_with('\n')) return line_;
  return error_line(cause(status_.value_or(0), said_));
}

std::string cause(int status, std::string_view said) {
  const std::string last = last_line(said);
  const std::string words = last.empty() ? "" : "; its last words: " + last;
  if (!WIFSIGNALED(status)) {
    return "the model ended its process with code " + std::to_string(WEXITSTATUS(status)) + words;
  }
  const int number = WTERMSIG(status);
  const auto* const known =
      std::find_if(kSignals.begin(), kSignals.end(), [&](const SignalName& row) { return row.number == number; });
  const std::string killed = "killed by signal " + std::to_string(number) + " (" +
                             std::string(known == kSignals.end() ? "unknown" : known->name) + ")";
  return number == SIGKILL ? killed + ": probably out of memory" : killed + words;
}

std::string timed_out(double timeout) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "no result within %.3g s", timeout);
  return text.data();
}

}  // namespace lts::runner
