#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "environment.hpp"
#include "sampling.hpp"

namespace lts::runner {

/// Result of a run; the members are the keys of the response.
struct Result {
  Timing timing;
  double peak_memory_mib = 0;
  std::string checksum;  ///< CRC-32 of the first output
  double rms = 0;        ///< its root mean square
  double load_seconds = 0;
  double run_seconds = 0;
  std::vector<std::string> warnings;
  std::optional<double> output_error;
  std::optional<bool> correct;
};

/// Versions of the parts of this program.
struct Versions {
  std::string_view runner;
  std::string_view tvm;
};

// Lines of output, each with its end.
std::string value_line(const Result& result);
std::string value_line(const Environment& environment, const Versions& versions);
std::string error_line(std::string_view error);

}  // namespace lts::runner
