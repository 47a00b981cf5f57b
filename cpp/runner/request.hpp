#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sampling.hpp"

namespace lts::runner {

/// What the first output is compared with.
struct Expected {
  std::string file;         ///< float32, row-major
  double tolerance = 1e-4;  ///< bound on the largest difference over the largest expected magnitude
};

/// One line of input: run a compiled model, or describe this machine.
struct Request {
  bool environment = false;                  ///< whether the machine is to be described; else a model is run
  std::string run;                           ///< path of the manifest
  std::map<std::string, std::string> files;  ///< paths by the names in the manifest; other files are beside it
  std::vector<std::size_t> cpus;             ///< logical processors to run on; empty: all that are allowed
  std::vector<std::int64_t> tokens;          ///< of a model that generates: what is run,
  std::int64_t past = 0;                     ///< and how many of them are in the cache already
  Sampling sampling;
  double timeout = std::numeric_limits<double>::infinity();  ///< seconds until the run is aborted
  std::optional<Expected> expected;
  std::string checksum;  ///< checksum that the first output must have
  std::string save;      ///< path of a file that the first output is written to
};

/// @throws Error saying what is wrong with the line.
Request parse_request(std::string_view line);

}  // namespace lts::runner
