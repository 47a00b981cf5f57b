#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <limits>
#include <string>

#include "error.hpp"
#include "lines.hpp"
#include "supervisor.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

/// What a model may do to its process, by the line of input.
std::string behave(std::string_view line) {
  if (line == "segv") {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would handle it
    raise(SIGSEGV);
  }
  if (line == "kill") raise(SIGKILL);
  if (line == "exit") _exit(7);
  if (line == "half") _exit(0);
  if (line == "words") {
    write_all(STDERR_FILENO, "some\nlast words\n");
    _exit(7);
  }
  if (line == "print") write_all(STDOUT_FILENO, "printed\n");
  if (line == "orphan" && fork() == 0) {  // keeps the pipes open
    pause();
    _exit(0);
  }
  while (line == "hang" || line == "slow") pause();
  if (line == "long") return std::string(1'000'000, 'x') + "\n";
  return "<" + std::string(line) + ">\n";
}

Task check(std::string_view line) {
  if (line == "wrong") return {.error = "wrong!\n", .timeout = 0};
  return {.error = "", .timeout = line == "slow" ? 0.1 : std::numeric_limits<double>::infinity()};
}

std::string contents(int file) {
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t n = 0; (n = read(file, chunk.data(), chunk.size())) > 0;)
    text.append(chunk.data(), static_cast<std::size_t>(n));
  return text;
}

/// The output for input from a plain file.
std::string answers(const std::string& input) {
  const TemporaryFolder folder;
  const int in = open(folder.write("in", input).c_str(), O_RDONLY | O_CLOEXEC);
  const int out = open((folder / "out").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_EQ(supervise(in, out, check, behave), End::input_ended);
  lseek(out, 0, SEEK_SET);
  std::string text = contents(out);
  close(in);
  close(out);
  return text;
}

TEST(RunnerSupervisor, AnswersEveryLine) {
  EXPECT_EQ(answers("a\nb\n\nlast"), "<a>\n<b>\n<>\n<last>\n");
  EXPECT_EQ(answers(""), "");
  EXPECT_EQ(answers("wrong\na\n"), "wrong!\n<a>\n");
  EXPECT_EQ(answers("long\n").size(), 1'000'001U);
}

TEST(RunnerSupervisor, OutlivesItsChildren) {
  EXPECT_EQ(answers("segv\na\n"), "{\"error\":\"killed by signal 11 (SIGSEGV)\"}\n<a>\n");
  EXPECT_EQ(answers("kill\n"), "{\"error\":\"killed by signal 9 (SIGKILL): probably out of memory\"}\n");
  EXPECT_EQ(answers("exit\n"), "{\"error\":\"the model ended its process with code 7\"}\n");
  EXPECT_EQ(answers("words\n"),
            "{\"error\":\"the model ended its process with code 7; its last words: last words\"}\n");
  EXPECT_EQ(answers("half\n"), "{\"error\":\"the model ended its process with code 0\"}\n");
}

TEST(RunnerSupervisor, KeepsToTheTimeout) {
  EXPECT_EQ(answers("slow\na\n"), "{\"error\":\"no result within 0.1 s\"}\n<a>\n");
  EXPECT_EQ(timed_out(60), "no result within 60 s");
  EXPECT_EQ(timed_out(0.1234), "no result within 0.123 s");
}

TEST(RunnerSupervisor, DoesNotMixWhatAModelPrintsWithAnswers) { EXPECT_EQ(answers("print\n"), "<print>\n"); }

TEST(RunnerSupervisor, DoesNotWaitForWhatAModelLeavesBehind) { EXPECT_EQ(answers("orphan\na\n"), "<orphan>\n<a>\n"); }

TEST(RunnerSupervisor, RefusesLinesThatAreTooLong) {
  EXPECT_EQ(answers(std::string(3'000'000, 'x') + "\na\n"), "{\"error\":\"the request is longer than 1 MiB\"}\n<a>\n");
}

TEST(RunnerSupervisor, EndsWhenTheInputDoes) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  ASSERT_EQ(pipe2(in.data(), O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(out.data(), O_CLOEXEC), 0);
  const pid_t supervisor = fork();
  if (supervisor == 0) {
    close(in[1]);
    _exit(supervise(in[0], out[1], check, behave) == End::input_ended ? 0 : 1);
  }
  close(out[1]);
  write_all(in[1], "a\nhang\n");
  std::array<char, 16> answer{};
  EXPECT_EQ(read(out[0], answer.data(), answer.size()), 4);
  close(in[1]);
  int status = -1;
  EXPECT_EQ(waitpid(supervisor, &status, 0), supervisor);
  EXPECT_EQ(status, 0);
  // The output ends when nobody has it any more: also the child that hung is gone.
  EXPECT_EQ(read(out[0], answer.data(), answer.size()), 0);
  close(in[0]);
  close(out[0]);
}

TEST(RunnerSupervisor, EndsWhenTheOutputFails) {
  const TemporaryFolder folder;
  const int in = open(folder.write("in", "a\nb\n").c_str(), O_RDONLY | O_CLOEXEC);
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(supervise(in, full, check, behave), End::output_failed);
  close(in);
  close(full);
}

TEST(RunnerSupervisor, NamesCauses) {
  EXPECT_EQ(cause(SIGILL, ""), "killed by signal 4 (SIGILL)");
  EXPECT_EQ(cause(SIGABRT, "terminate called\n  what():  bad\n\n"),
            "killed by signal 6 (SIGABRT); its last words: what(): bad");
  EXPECT_EQ(cause(SIGRTMIN, ""), "killed by signal " + std::to_string(SIGRTMIN) + " (unknown)");
}

}  // namespace
}  // namespace lts::runner
