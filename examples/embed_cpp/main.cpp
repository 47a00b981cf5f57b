// Searches a space of GPT-2s from C++ and times every candidate on this machine: the matrix products for generating one
// token, on weights of the right sizes. The state is saved now and then, so that the same command resumes a run that
// was killed.
//
//   embed_cpp [--trials N] [--seed N] [--every N] [--state FILE]

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <lts/lts.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int kUsage = 2;
constexpr int kInterrupted = 130;

volatile std::sig_atomic_t interrupted = 0;

lts::SearchSpaceOptions space() {
  return {.name = "embedded",
          .vocab_size = 8192,
          .n_positions = 256,
          .n_layer = {2, 4, 6, 8, 10, 12},
          .d_model = {128, 192, 256, 320, 384},
          .n_head = {2, 4, 8},
          .d_ff = {256, 512, 768, 1024, 1536},
          .min_ff_ratio = 1.0};
}

// --- What a candidate costs ---

/// Times the generation of one token.
class Timer {
 public:
  /// Milliseconds of the fastest of a few runs, which was disturbed least.
  double operator()(const lts::Architecture& architecture) {
    double best = std::numeric_limits<double>::infinity();
    for (int repeat = 0; repeat < 3; ++repeat) {
      const auto start = std::chrono::steady_clock::now();
      token(architecture);
      const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
      best = std::min(best, passed.count());
    }
    return best;
  }

 private:
  void token(const lts::Architecture& architecture) {
    const auto d = static_cast<std::size_t>(architecture.d_model);
    x_.assign(d, 1.0F);
    for (const lts::Layer& layer : architecture.layers) {
      for (int matrix = 0; matrix < 4; ++matrix) multiply(d, d);  // query, key, value and output
      multiply(d, static_cast<std::size_t>(layer.d_ff));
      multiply(static_cast<std::size_t>(layer.d_ff), d);
    }
    multiply(d, static_cast<std::size_t>(architecture.vocab_size));
  }

  /// Multiplies x by a matrix of that size, whose values do not matter.
  void multiply(std::size_t rows, std::size_t columns) {
    if (weights_.size() < rows * columns) weights_.resize(rows * columns, 1e-3F);
    y_.assign(columns, 0.0F);
    for (std::size_t i = 0; i < rows; ++i) {
      const float* const row = weights_.data() + i * columns;
      for (std::size_t j = 0; j < columns; ++j) y_[j] += x_[i] * row[j];
    }
    std::swap(x_, y_);
  }

  std::vector<float> weights_;
  std::vector<float> x_;
  std::vector<float> y_;
};

// --- State: a file that is whole at any time ---

[[noreturn]] void fail_with(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

void save(const lts::Search& search, const std::string& path) {
  if (path.empty()) return;
  const std::string text = lts::to_json(search.state());
  const std::string unfinished = path + ".tmp";
  const int file = open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) fail_with("cannot write " + unfinished);
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto n = write(file, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int why = errno;
      close(file);
      unlink(unfinished.c_str());
      errno = why;
      fail_with("cannot write " + unfinished);
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (fsync(file) != 0 || close(file) != 0 || std::rename(unfinished.c_str(), path.c_str()) != 0) {
    fail_with("cannot write " + path);
  }
}

lts::Search start(const std::string& path, std::uint64_t seed) {
  if (!path.empty() && (access(path.c_str(), F_OK) == 0 || errno != ENOENT)) {
    if (!std::filesystem::is_regular_file(path)) throw std::runtime_error(path + " is not a plain file");
    std::ifstream file(path, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (!file) fail_with("cannot read " + path);
    try {
      return lts::Search(lts::search_state_from_json(text));
    } catch (const std::invalid_argument& error) {
      throw std::runtime_error(path + ": " + error.what());
    }
  }
  return {lts::SearchSpace(space()),
          {.objectives = {lts::parse_objective("decoder_params:max"), lts::parse_objective("latency_ms:min")},
           .constraints = {lts::parse_constraint("weight_mib<=64")},
           .seed = seed}};
}

// --- The search ---

struct Options {
  std::uint64_t trials = 2000;
  std::uint64_t seed = 0;
  std::uint64_t every = 100;
  std::string state;
};

/// True unless it was interrupted.
bool search_on(lts::Search& search, const Options& options) {
  Timer timer;
  lts::Architecture architecture;
  std::uint64_t id = 0;
  while (search.n_told() < options.trials) {
    // A candidate that was being timed when the state was saved comes first.
    if (!search.next_pending(0, architecture, id)) {
      const auto asked = search.ask(architecture);
      if (!asked) break;
      id = *asked;
    }
    if (interrupted != 0) {
      save(search, options.state);
      return false;
    }
    const double values[] = {static_cast<double>(lts::decoder_params(architecture)), timer(architecture),
                             lts::analytic("weight_mib")(architecture, {})};
    search.tell(id, values);
    if (search.n_told() % options.every == 0) save(search, options.state);
  }
  save(search, options.state);
  return true;
}

void print_front(const lts::Search& search) {
  for (const lts::FrontMember& member : search.front()) {
    std::cout << R"({"decoder_params":)" << static_cast<std::int64_t>(member.values[0]) << R"(,"latency_ms":)"
              << member.values[1] << R"(,"architecture":)" << lts::to_json(member.architecture) << "}\n";
  }
  std::cout.flush();
  if (!std::cout) fail_with("cannot write the front");
  std::cerr << "embed_cpp: " << search.n_told() << " candidates, " << search.archive().size()
            << " on the front; latency of a token, measured on this machine\n";
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Options> parse(std::span<char* const> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (i + 1 == arguments.size()) return std::nullopt;
    const std::string_view name = arguments[i];
    const std::string_view value = arguments[i + 1];
    if (name == "--state") {
      options.state = value;
      continue;
    }
    const auto given = number(value);
    if (!given) return std::nullopt;
    if (name == "--seed") {
      options.seed = *given;
    } else if (name == "--trials" && *given > 0) {
      options.trials = *given;
    } else if (name == "--every" && *given > 0) {
      options.every = *given;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(std::span(argv + 1, argv + argc));
  if (!options) {
    std::cerr << "usage: embed_cpp [--trials N] [--seed N] [--every N] [--state FILE]; N are whole numbers\n";
    return kUsage;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  try {
    lts::Search search = start(options->state, options->seed);
    if (!search_on(search, *options)) {
      std::cerr << "embed_cpp: interrupted; the same command resumes\n";
      return kInterrupted;
    }
    print_front(search);
    return EXIT_SUCCESS;
  } catch (const std::exception& error) {
    std::cerr << "embed_cpp: " << error.what() << '\n';
    return kUsage;
  }
}
