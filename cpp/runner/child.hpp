#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "supervisor.hpp"

namespace lts::runner {

/// A forked process that answers one line; killed with all that it has started when this object goes.
class Child {
 public:
  /// @throws Error when there is no process to be had.
  Child(std::string_view line, const Answer& answer);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Ends of pipes to wait for; -1 once they are closed.
  [[nodiscard]] int result_file() const { return result_; }
  [[nodiscard]] int stderr_file() const { return stderr_; }

  /// Takes in what there is to read.
  void read();
  /// Whether the process has ended; then all that it has written is taken in.
  bool ended();
  void kill() const;

  /// The line that it has answered, or one that says why there is none. After `ended`.
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
