#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "lines.hpp"

namespace lts::runner {
namespace {

/// The lines of a text that comes through a pipe in pieces.
std::vector<LineReader::Line> lines_of(const std::string& text, std::size_t piece, std::size_t max_length) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return {};
  std::thread writer([&] {
    for (std::size_t i = 0; i < text.size(); i += piece) write_all(ends[1], text.substr(i, piece));
    close(ends[1]);
  });
  LineReader reader(ends[0], max_length);
  std::vector<LineReader::Line> lines;
  while (auto line = wait_for_line(reader)) lines.push_back(*line);
  writer.join();
  EXPECT_TRUE(reader.ended());
  close(ends[0]);
  return lines;
}

TEST(RunnerLines, ComeInPieces) {
  for (const std::size_t piece : {1U, 2U, 3U, 100U}) {
    const auto lines = lines_of("one\n\ntwo\nthree", piece, 100);
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0].text, "one");
    EXPECT_EQ(lines[1].text, "");
    EXPECT_EQ(lines[2].text, "two");
    EXPECT_EQ(lines[3].text, "three");
  }
  EXPECT_TRUE(lines_of("", 1, 100).empty());
}

TEST(RunnerLines, TooLongOnesAreDropped) {
  const std::string text =
      std::string(1'000'000, 'x') + "\nnext\n" + std::string(11, 'y') + "\n" + std::string(10, 'z');
  for (const std::size_t piece : {1000U, 1'000'000U}) {
    const auto lines = lines_of(text, piece, 10);
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_TRUE(lines[0].too_long);
    EXPECT_EQ(lines[0].text.size(), 10U);
    EXPECT_FALSE(lines[1].too_long);
    EXPECT_EQ(lines[1].text, "next");
    EXPECT_TRUE(lines[2].too_long);
    EXPECT_FALSE(lines[3].too_long);
  }
  EXPECT_TRUE(lines_of(std::string(100, 'x'), 1, 10).at(0).too_long);
}

TEST(RunnerLines, WritingSaysWhyItFails) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  EXPECT_EQ(write_all(full, "text"), ENOSPC);
  EXPECT_EQ(write_all(full, ""), 0);
  close(full);
  EXPECT_EQ(write_all(-1, "text"), EBADF);
}

}  // namespace
}  // namespace lts::runner
