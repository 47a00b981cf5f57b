#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "supervisor.hpp"

namespace lts::runner {

/// A forked process that answers one line; the destructor kills it with all that it has started.
class Child {
 public:
  /// @throws Error when no process can be started.
  Child(std::string_view line, const Answer& answer);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Ends of pipes to wait for; -1 once they are closed.
  [[nodiscard]] int result_file() const { return result_; }
  [[nodiscard]] int stderr_file() const { return stderr_; }

  /// Reads what is available.
  void read();
  /// Whether the process has ended; then all of its output has been read.
  bool ended();
  void kill() const;

  /// Its answer, or a line that says why there is none. Call it after `ended`.
  [[nodiscard]] std::string answer() const;

 private:
  pid_t process_ = -1;
  int result_ = -1;
  int stderr_ = -1;
  std::optional<int> status_;
  std::string line_;
  std::string said_;
};

}  // namespace lts::runner
