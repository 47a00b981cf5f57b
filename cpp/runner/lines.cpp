#include "lines.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace lts::runner {

namespace {
constexpr std::size_t kChunk = 65536;
}  // namespace

int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const auto written = write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

bool LineReader::read() {
  std::array<char, kChunk> chunk{};
  ssize_t n = 0;
  do n = ::read(file_, chunk.data(), chunk.size());
  while (n < 0 && errno == EINTR);
  if (n <= 0) {
    ended_ = true;
    return false;
  }
  buffer_.append(chunk.data(), static_cast<std::size_t>(n));
  return true;
}

std::optional<LineReader::Line> LineReader::next() {
  const auto end = buffer_.find('\n');
  if (end == std::string::npos && !ended_) {
    if (buffer_.size() > max_length_) {  // only the beginning is used; drop the rest until the line ends
      buffer_.resize(max_length_);
      skipping_ = true;
    }
    return std::nullopt;
  }
  if (end == std::string::npos && buffer_.empty()) return std::nullopt;
  Line line{.text = buffer_.substr(0, end), .too_long = skipping_};
  buffer_.erase(0, end == std::string::npos ? end : end + 1);
  skipping_ = false;
  if (line.text.size() > max_length_) {
    line.text.resize(max_length_);
    line.too_long = true;
  }
  return line;
}

std::optional<LineReader::Line> wait_for_line(LineReader& reader) {
  auto line = reader.next();
  while (!line && reader.read()) line = reader.next();
  return line ? line : reader.next();
}

}  // namespace lts::runner
