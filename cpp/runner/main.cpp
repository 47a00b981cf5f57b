// lts-runner: loads a compiled model, runs it and reports time and memory, without Python. See docs/runner.md.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "environment.hpp"
#include "error.hpp"
#include "generate.hpp"
#include "lines.hpp"
#include "opening.hpp"
#include "request.hpp"
#include "response.hpp"
#include "run.hpp"
#include "supervisor.hpp"

namespace lts::runner {
namespace {

// Both are defined on the command line of the compiler.
constexpr std::string_view kVersion = LTS_VERSION;
constexpr std::string_view kTvm = LTS_TVM_VERSION;
constexpr std::string_view kHelp =
    "Usage: lts-runner [--once]\n"
    "       lts-runner MODEL --generate TOKENS [--n-gen N] [--greedy | --seed N] [--threads N]\n"
    "\n"
    "Runs compiled models. Without MODEL, it reads requests from stdin, one JSON object on a line, and writes a line "
    "for each to "
    "stdout:\n"
    "\n"
    "  {\"run\": \"model/model.json\"}    runs a model: {\"value\": {\"samples_ns\": [...], ...}} or {\"error\": "
    "\"...\"}\n"
    "  {\"environment\": true}          describes this machine\n"
    "\n"
    "Every request runs in a process of its own, which is killed when stdin is closed.\n"
    "\n"
    "With MODEL, the folder of a model that generates or its model.json, it continues a prompt: a line {\"token\": 17} "
    "for "
    "each token, and a last one with times.\n"
    "\n"
    "  --generate TOKENS  the prompt, numbers of tokens such as \"1 2 3\"\n"
    "  --n-gen N          tokens to generate (32)\n"
    "  --greedy           take the likeliest token every time; so it is without --seed\n"
    "  --seed N           draw tokens by their probability, the same ones for the same seed\n"
    "  --threads N        threads to run with (1)\n"
    "\n"
    "  --once      answer a single request in this process, even when stdin is closed\n"
    "  --version   print the version and exit\n"
    "  --help      print this and exit\n"
    "\n"
    "Exit codes: 0 done, whatever the answers; 2 wrong argument, or a model that cannot be used; 3 an answer could not "
    "be "
    "written.\n";
constexpr int kWrongArgument = 2;
constexpr int kNotWritten = 3;

/// The line that a function returns, or a line with the error that it throws.
template <class Function>
std::string guarded(const Function& function) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return error_line("out of memory");
  } catch (const std::exception& error) {
    return error_line(error.what());
  }
}

std::string answer(std::string_view line) {
  return guarded([&] {
    const Request request = parse_request(line);
    if (request.environment) return value_line(environment(), {.runner = kVersion, .tvm = kTvm});
    return value_line(run(request, own_folder(), kTvm));
  });
}

Task check(std::string_view line) {
  Task task;
  task.error = guarded([&] {
    task.timeout = parse_request(line).timeout;
    return std::string();
  });
  return task;
}

int once() {
  // What a model prints must not get into the answer.
  const int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  LineReader lines(STDIN_FILENO);
  const auto line = wait_for_line(lines);
  std::string response;
  if (!line) response = error_line("there is no request on stdin");
  if (line && line->too_long) response = error_line("the request is longer than 1 MiB");
  if (response.empty()) response = answer(line->text);
  const int error = write_all(out, response);
  if (error != 0) {
    write_all(STDERR_FILENO, "lts-runner: cannot write the result: " + reason(error) + "\n");
    _exit(kNotWritten);
  }
  _exit(0);  // without clean-up, which could crash after the result is known
}

int print(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == 0) return 0;
  write_all(STDERR_FILENO, "lts-runner: cannot write: " + reason(error) + "\n");
  return kNotWritten;
}

int continue_prompt(std::span<const std::string_view> arguments) {
  std::string error;
  try {
    const int failed = generate(parse_generate(arguments), own_folder(), STDOUT_FILENO);
    if (failed == 0) _exit(0);  // without clean-up, as above
    write_all(STDERR_FILENO, "lts-runner: cannot write the result: " + reason(failed) + "\n");
    _exit(kNotWritten);
  } catch (const std::bad_alloc&) {
    error = "out of memory";
  } catch (const std::exception& failure) {
    error = one_line(failure.what());
  }
  write_all(STDERR_FILENO, "lts-runner: " + error + "\n");
  return kWrongArgument;
}

int main_with(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // output that nobody reads is reported by the exit code
  const std::string_view option = argc == 2 ? argv[1] : "";
  if (option == "--version") {
    return print("lts-runner " LTS_VERSION " (TVM " LTS_TVM_VERSION ", " + triple() + ")\n");
  }
  if (option == "--help") return print(kHelp);
  if (option == "--once") return once();
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (std::find(arguments.begin(), arguments.end(), "--generate") != arguments.end()) return continue_prompt(arguments);
  if (argc > 1) {
    const std::string_view wrong = argv[argc == 2 ? 1 : 2];
    write_all(STDERR_FILENO, "lts-runner: unexpected argument '" + std::string(wrong) +
                                 "'; expected nothing, --once, --generate, --version or --help\n");
    return kWrongArgument;
  }
  return supervise(STDIN_FILENO, STDOUT_FILENO, check, answer) == End::output_failed ? kNotWritten : 0;
}

}  // namespace
}  // namespace lts::runner

int main(int argc, char** argv) { return lts::runner::main_with(argc, argv); }
