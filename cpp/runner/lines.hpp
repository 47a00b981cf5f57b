#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lts::runner {

/// Writes all of the text. Returns 0, or the error number of the write that failed.
int write_all(int file, std::string_view text);

/// Reads lines from a file descriptor. A line that is too long is read, but not kept.
class LineReader {
 public:
  /// @param max_length largest length of a line that is kept, in bytes
  explicit LineReader(int file, std::size_t max_length = std::size_t{1} << 20U)
      : file_(file), max_length_(max_length) {}

  /// A line that has been read, without its line end; at the end of the file, what follows the last line end is one,
  /// too. Of a line that was too long there are the first bytes only, and `too_long` is true.
  struct Line {
    std::string text;
    bool too_long = false;
  };
  std::optional<Line> next();

  /// Reads once, waiting if necessary. Returns false at the end of the file, and for a file that cannot be read.
  bool read();

  /// Whether nothing more is coming.
  [[nodiscard]] bool ended() const { return ended_; }
  /// Whether there is room for more to be read before lines are taken out.
  [[nodiscard]] bool wants_more() const { return !ended_ && buffer_.size() <= max_length_; }

 private:
  int file_;
  std::size_t max_length_;
  std::string buffer_;
  bool skipping_ = false;
  bool ended_ = false;
};

/// The next line, waiting for it; nothing at the end of the file.
std::optional<LineReader::Line> wait_for_line(LineReader& reader);

}  // namespace lts::runner
