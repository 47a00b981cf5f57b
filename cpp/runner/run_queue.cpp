#include "run_queue.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace lts::runner {

namespace {

// A schedstat file: nanoseconds on a core, nanoseconds on the run queue, time slices.
using Numbers = std::array<std::int64_t, 3>;

/// Zeros when they cannot be read.
Numbers read_numbers(int file) {
  std::array<char, 256> text{};
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  const char* at = text.data();
  const char* const end = at + std::max<ssize_t>(0, size);
  Numbers numbers{};
  for (auto& number : numbers) {
    while (at != end && *at == ' ') ++at;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc{}) return {};
    at = next;
  }
  return numbers;
}

}  // namespace

RunQueue::RunQueue(const std::string& tasks) {
  DIR* const folder = opendir(tasks.c_str());
  if (folder == nullptr) return;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone
  while (const dirent* const entry = readdir(folder)) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name.starts_with('.')) continue;
    const int file = open((tasks + name + "/schedstat").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    files_.push_back(file);
    counts_ = counts_ || read_numbers(file) != Numbers{};
  }
  closedir(folder);
}

RunQueue::~RunQueue() {
  for (const int file : files_) close(file);
}

std::vector<std::int64_t> RunQueue::waited_ns() const {
  std::vector<std::int64_t> waited;
  waited.reserve(files_.size());
  for (const int file : files_) waited.push_back(read_numbers(file)[1]);
  return waited;
}

std::int64_t longest_wait(const std::vector<std::int64_t>& before, const std::vector<std::int64_t>& after) {
  std::int64_t longest = 0;
  for (std::size_t i = 0; i < std::min(before.size(), after.size()); ++i) {
    longest = std::max(longest, after[i] - before[i]);
  }
  return longest;
}

}  // namespace lts::runner
