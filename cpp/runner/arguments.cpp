// What `lts-runner --generate` is asked for, and how it picks tokens: without TVM, to be tested where there is none.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include "error.hpp"
#include "generate.hpp"

namespace lts::runner {

namespace {

constexpr std::int64_t kMaxToken = (std::int64_t{1} << 31U) - 1;
constexpr int kMaxThreads = 1024;

template <class Number>
Number parse_number(std::string_view text, std::string_view what, Number min, Number max) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < min || number > max) {
    fail({what, " is '", one_line(text), "'; expected a number from ", std::to_string(min), " to ",
          std::to_string(max)});
  }
  return number;
}

std::vector<std::int64_t> parse_tokens(std::string_view text) {
  constexpr std::string_view between = " ,\t\n";
  std::vector<std::int64_t> tokens;
  while (true) {
    const auto begin = text.find_first_not_of(between);
    if (begin == std::string_view::npos) break;
    text.remove_prefix(begin);
    const auto end = std::min(text.find_first_of(between), text.size());
    tokens.push_back(parse_number<std::int64_t>(text.substr(0, end), "a token of --generate", 0, kMaxToken));
    text.remove_prefix(end);
  }
  if (tokens.empty()) fail({"--generate has no tokens; expected numbers, such as \"1 2 3\""});
  return tokens;
}

}  // namespace

Generate parse_generate(std::span<const std::string_view> arguments) {
  Generate wanted;
  bool greedy = false;
  const auto next = [&](std::string_view name) {
    if (arguments.empty()) fail({name, " needs a value"});
    const std::string_view value = arguments.front();
    arguments = arguments.subspan(1);
    return value;
  };
  while (!arguments.empty()) {
    const std::string_view name = next("");
    if (name == "--generate") {
      wanted.prompt = parse_tokens(next(name));
    } else if (name == "--n-gen") {
      wanted.n_gen = parse_number<std::int64_t>(next(name), name, 1, kMaxToken);
    } else if (name == "--seed") {
      wanted.seed = parse_number<std::uint64_t>(next(name), name, 0, UINT64_MAX);
    } else if (name == "--threads") {
      wanted.threads = parse_number<int>(next(name), name, 1, kMaxThreads);
    } else if (name == "--greedy") {
      greedy = true;
    } else if (name.starts_with("-") || !wanted.model.empty()) {
      fail({"unexpected argument '", one_line(name),
            "'; expected MODEL, --generate TOKENS, --n-gen N, --greedy, --seed N or --threads N"});
    } else {
      wanted.model = name;
    }
  }
  if (wanted.model.empty()) fail({"there is no model; expected the folder of one, or its model.json"});
  if (wanted.prompt.empty()) fail({"there is no prompt; expected --generate TOKENS"});
  if (greedy && wanted.seed) fail({"--greedy takes the likeliest token, and --seed draws one; leave one of them out"});
  return wanted;
}

std::int64_t likeliest(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

std::int64_t drawn(std::span<const float> logits, double uniform) {
  const double greatest = logits[static_cast<std::size_t>(likeliest(logits))];
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - greatest);
  double left = uniform * total;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    left -= std::exp(logits[i] - greatest);
    if (left < 0) return static_cast<std::int64_t>(i);
  }
  return likeliest(logits);  // rounding has left a little
}

}  // namespace lts::runner
