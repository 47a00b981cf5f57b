// on_device: searches a space on the device itself. Layers are measured here, once for every shape, by the library of
// lts-runner; an architecture takes as long as its layers. See README.md.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "index.hpp"
#include "lts/cost.hpp"
#include "lts/json.hpp"
#include "lts/search.hpp"
#include "measurements.hpp"
#include "runner/error.hpp"
#include "runner/fields.hpp"
#include "runner/sampling.hpp"
#include "state.hpp"

namespace on_device {
namespace {

constexpr std::string_view kHelp =
    "Usage: on_device FOLDER [OPTIONS]\n"
    "\n"
    "Searches for the architectures with the most decoder parameters for their latency, which is summed up from "
    "layers\n"
    "measured on this device. FOLDER was made by prepare.py. Prints the Pareto front.\n"
    "\n"
    "  --trials N      architectures to look at, in all runs together (20000)\n"
    "  --seed S        of the search (0)\n"
    "  --state FILE    where the search is kept; the same command resumes it (FOLDER/state.json)\n"
    "  --min-time T    seconds to sample a model for (0.3)\n"
    "  --cpus LIST     processors to run models on, for example 4 or 4,5 (any)\n"
    "  -o FORMAT       table or jsonl (table)\n"
    "\n"
    "Exit codes: 0 done; 2 wrong argument or file; 3 a model cannot be measured; 130 interrupted, to be resumed.\n";

constexpr int kUsage = 2;
constexpr int kNotMeasured = 3;
constexpr int kInterrupted = 130;
constexpr double kSaveEvery = 2.0;  // seconds; the state is also saved around every measurement

volatile std::sig_atomic_t interrupted = 0;  // NOLINT(*-avoid-non-const-global-variables): a signal has no other place

struct Interrupted {};

struct Options {
  std::string folder;
  std::string state;
  std::uint64_t trials = 20000;
  std::optional<std::uint64_t> seed;
  MeasureOptions measure;
  bool table = true;
};

template <class Number>
Number number(std::string_view option, std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    lts::runner::fail({option, " is '", text, "'; expected a number"});
  }
  return value;
}

std::vector<std::size_t> cpus(std::string_view text) {
  std::vector<std::size_t> result;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    result.push_back(number<std::size_t>("--cpus", text.substr(begin, end - begin)));
    if (result.back() >= CPU_SETSIZE) lts::runner::fail({"--cpus is '", text, "'; there are not so many processors"});
    begin = end + 1;
  }
  return result;
}

Options parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto name = arguments[i];
    if (!name.starts_with('-')) {
      if (!options.folder.empty()) lts::runner::fail({"unexpected argument '", name, "'; expected one FOLDER"});
      options.folder = name;
      continue;
    }
    const auto value = i + 1 < arguments.size() ? arguments[i + 1] : std::string_view();
    if (name == "--trials") {
      options.trials = number<std::uint64_t>(name, value);
    } else if (name == "--seed") {
      options.seed = number<std::uint64_t>(name, value);
    } else if (name == "--state") {
      options.state = value;
    } else if (name == "--min-time") {
      options.measure.min_time = number<double>(name, value);
      const bool right = options.measure.min_time >= 0 && options.measure.min_time <= 3600;
      if (!right) lts::runner::fail({"--min-time is '", value, "'; expected seconds from 0 to 3600"});
    } else if (name == "--cpus") {
      options.measure.cpus = cpus(value);
    } else if (name == "-o") {
      options.table = value == "table";
      if (!options.table && value != "jsonl") lts::runner::fail({"-o is '", value, "'; expected table or jsonl"});
    } else {
      lts::runner::fail({"unknown option '", name, "'; see on_device --help"});
    }
    if (value.empty()) lts::runner::fail({name, " needs a value"});
    ++i;
  }
  if (options.folder.empty()) lts::runner::fail({"FOLDER is missing; see on_device --help"});
  if (options.state.empty()) options.state = options.folder + "/state.json";
  return options;
}

lts::Search begin(const Index& index, const Options& options, std::optional<lts::SearchState> state) {
  if (!state) {
    return lts::Search(lts::SearchSpace(index.space), {.objectives = {lts::parse_objective("decoder_params:max"),
                                                                      lts::parse_objective("latency_ms:min")},
                                                       .seed = options.seed.value_or(0)});
  }
  if (options.seed && *options.seed != state->options.seed) {
    lts::runner::fail({options.state, " was begun with --seed ", std::to_string(state->options.seed), ", not ",
                       std::to_string(*options.seed), ": remove it, or name another file with --state"});
  }
  return lts::Search(std::move(*state));
}

/// The front that the search has found, by latency.
std::vector<lts::FrontMember> sorted_front(const lts::Search& search) {
  auto front = search.front();
  std::sort(front.begin(), front.end(), [](const auto& a, const auto& b) { return a.values[1] < b.values[1]; });
  return front;
}

std::string layers_of(const lts::Architecture& architecture) {
  std::string text;
  for (const auto& layer : architecture.layers) {
    text += (text.empty() ? "" : " ") + std::to_string(layer.n_head);
    if (layer.n_kv_head != layer.n_head) text += "/" + std::to_string(layer.n_kv_head);
    text += ":" + std::to_string(layer.d_ff);
  }
  return text;
}

void print_table(const std::vector<lts::FrontMember>& front) {
  std::puts("decoder_params  latency_ms                        d_model  layers (n_head:d_ff)");
  std::puts("(exact)         (predicted from measured layers)");
  for (const auto& member : front) {
    std::printf("%-14.0f  %-32.4g  %-7lld  %s\n", member.values[0], member.values[1],
                static_cast<long long>(member.architecture.d_model), layers_of(member.architecture).c_str());
  }
}

void print_lines(const std::vector<lts::FrontMember>& front) {
  using Json = nlohmann::ordered_json;
  for (const auto& member : front) {
    const Json record{{"schema", 1},
                      {"trial", member.id},
                      {"architecture", Json::parse(lts::to_json(member.architecture))},
                      {"values", {{"decoder_params", member.values[0]}, {"latency_ms", member.values[1]}}},
                      {"provenance", {{"decoder_params", "exact"}, {"latency_ms", "predicted"}}},
                      {"predicted_from", "measured layers"}};
    std::puts(record.dump().c_str());
  }
}

void search_on_device(const Options& options) {
  const Index index = load_index(options.folder);
  State state = load_state(options.state, index);
  lts::Search search = begin(index, options, std::move(state.search));
  double saved = 0;
  Measurements* all = nullptr;
  const auto save = [&] {
    save_state(options.state, index, all->known(), search.state());
    saved = lts::runner::now();
  };
  const auto check_interrupt = [&] {
    if (interrupted == 0) return;
    save();
    throw Interrupted();
  };
  // Before and after every measurement.
  Measurements measurements(index, options.measure, std::move(state.measured), [&] {
    check_interrupt();
    save();
  });
  all = &measurements;
  save();  // a file that cannot be written is an error before anything is measured

  const auto evaluate = [&](const lts::Candidate& candidate) {
    const double latency_ms = measurements.sum(candidate.architecture);
    const std::vector values{static_cast<double>(lts::decoder_params(candidate.architecture)), latency_ms};
    search.tell(candidate.id, values);
    check_interrupt();
    if (lts::runner::now() - saved > kSaveEvery) save();
  };
  // The candidate that was being evaluated when the last run ended.
  for (const auto& candidate : search.pending()) evaluate(candidate);
  while (search.n_told() < options.trials) {
    const auto candidates = search.ask(1);
    if (candidates.empty()) break;  // there are no more
    evaluate(candidates.front());
  }
  save();
  std::cerr << search.n_told() << " of " << search.space().size().to_decimal() << " architectures, "
            << measurements.known().size() << " models measured on " << this_device() << '\n';
  for (const auto& check : index.checks) {
    const double whole = measurements.whole(check);
    const double sum = measurements.sum(check.architecture);
    std::fprintf(
        stderr, "check: %s, %lld layers: %.4g ms measured as a whole, %.4g ms as the sum of layers (%+.1f %%)\n",
        check.path.c_str(), static_cast<long long>(check.architecture.n_layer()), whole, sum, 100 * (sum / whole - 1));
  }
  const auto front = sorted_front(search);
  if (options.table) {
    print_table(front);
  } else {
    print_lines(front);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) lts::runner::fail({"cannot write the front to stdout"});
}

int main_with(const std::vector<std::string_view>& arguments) {
  if (std::find(arguments.begin(), arguments.end(), "--help") != arguments.end()) {
    std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
    return 0;
  }
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // a second Ctrl-C does not wait for the measurement
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  try {
    search_on_device(parse(arguments));
  } catch (const Interrupted&) {
    std::cerr << "interrupted: the same command resumes\n";
    return kInterrupted;
  } catch (const NotMeasured& error) {
    std::cerr << "error: " << error.what() << '\n';
    return kNotMeasured;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << '\n';
    return kUsage;
  }
  return 0;
}

}  // namespace
}  // namespace on_device

int main(int argc, char** argv) { return on_device::main_with({argv + 1, argv + argc}); }
