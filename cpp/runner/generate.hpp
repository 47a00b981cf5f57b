#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lts::runner {

/// What `lts-runner --generate` is asked for.
struct Generate {
  std::string model;  ///< folder or manifest
  std::vector<std::int64_t> prompt;
  std::int64_t n_gen = 32;
  std::optional<std::uint64_t> seed;  ///< of sampling; without one, the likeliest token is taken
  int threads = 1;
};

/// Reads the arguments after `--generate`. @throws Error saying what is wrong.
Generate parse_generate(std::span<const std::string_view> arguments);

/// Index of the largest number; of equal ones the first.
std::int64_t likeliest(std::span<const float> logits);

/// Draws from the softmax of logits. @param uniform from 0 to less than 1
std::int64_t drawn(std::span<const float> logits, double uniform);

/// Generates, and writes a line of JSON for each token, and one with times. Returns 0, or the error of a write.
/// @throws Error when the model cannot be loaded or run, or has no room for the tokens.
int generate(const Generate& wanted, const std::string& runtime, int out);

}  // namespace lts::runner
