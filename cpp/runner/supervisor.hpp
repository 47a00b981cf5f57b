#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace lts::runner {

/// Returns the line of output for a line of input. It runs in a process of its own, which may crash or hang.
using Answer = std::function<std::string(std::string_view line)>;

/// What to do with a line of input.
struct Task {
  std::string error;     ///< line of output for a wrong line of input; when empty, the line goes to `Answer`
  double timeout = 0.0;  ///< seconds; may be infinite
};
using Check = std::function<Task(std::string_view line)>;

enum class End { input_ended, output_failed };

/// Answers lines of `in` on `out` until the input ends, each in a child process. A child that crashes, or takes longer
/// than its timeout, is an error on its line. When the input ends meanwhile (unless it is a plain file), the program
/// that asked is gone, and the child is killed.
End supervise(int in, int out, const Check& check, const Answer& answer);

/// Why a child has left no answer, by its wait status and the last of what it wrote to stderr.
std::string cause(int status, std::string_view said);

/// "no result within 60 s"
std::string timed_out(double timeout);

}  // namespace lts::runner
