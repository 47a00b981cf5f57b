#include "generate.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "error.hpp"
#include "lines.hpp"
#include "opening.hpp"
#include "sampling.hpp"

namespace lts::runner {

namespace {

constexpr double kMilliseconds = 1e3;
constexpr unsigned kDoubleBits = 53;

/// Picks tokens; one seed gives one sequence on every machine whose logits are the same.
class Picker {
 public:
  explicit Picker(std::optional<std::uint64_t> seed) : draws_(seed), engine_(seed.value_or(0)) {}

  std::int64_t operator()(std::span<const float> logits) {
    const std::int64_t best = likeliest(logits);
    if (!std::isfinite(logits[static_cast<std::size_t>(best)])) fail({"the output 'logits' is not finite"});
    if (!draws_) return best;
    // By hand, because std::uniform_real_distribution differs from library to library.
    return drawn(logits, std::ldexp(static_cast<double>(engine_() >> (64U - kDoubleBits)), -int{kDoubleBits}));
  }

 private:
  std::optional<std::uint64_t> draws_;
  std::mt19937_64 engine_;
};

std::string line(const nlohmann::ordered_json& value) { return value.dump() + "\n"; }

}  // namespace

int generate(const Generate& wanted, const std::string& runtime, int out) {
  const double start = now();
  Generator generator = open_generator(wanted.model, runtime, wanted.threads);
  const double loaded = now();
  const auto room = generator.n_positions() - static_cast<std::int64_t>(wanted.prompt.size());
  if (wanted.n_gen - 1 > room) {
    fail({std::to_string(wanted.prompt.size()), " tokens and ", std::to_string(wanted.n_gen),
          " to generate are too many: the model has ", std::to_string(generator.n_positions()), " positions"});
  }
  Picker pick(wanted.seed);
  std::int64_t token = pick(generator.step(wanted.prompt));
  const double prompted = now();
  for (std::int64_t i = 0;; ++i) {
    if (const int error = write_all(out, line({{"token", token}})); error != 0) return error;
    if (i + 1 == wanted.n_gen) break;
    token = pick(generator.step(std::span(&token, 1)));
  }
  const double done = now();
  nlohmann::ordered_json last{{"tokens", wanted.n_gen},
                              {"prompt_tokens", wanted.prompt.size()},
                              {"load_ms", (loaded - start) * kMilliseconds},
                              {"prompt_ms", (prompted - loaded) * kMilliseconds}};
  if (wanted.n_gen > 1) {
    const double each = (done - prompted) / static_cast<double>(wanted.n_gen - 1);
    last["decode_ms_per_token"] = each * kMilliseconds;
  }
  return write_all(out, line(last));
}

}  // namespace lts::runner
