#pragma once

#include <cstddef>
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
  double tolerance = 1e-4;  ///< of the largest difference over the largest expected magnitude
};

/// One line of input: run a compiled model, or say what this machine is.
struct Request {
  bool environment = false;                  ///< the latter
  std::string run;                           ///< path of the manifest
  std::map<std::string, std::string> files;  ///< paths by the names in the manifest; others lie beside it
  std::vector<std::size_t> cpus;             ///< logical processors to run on; empty for those allowed anyway
  Sampling sampling;
  double timeout = std::numeric_limits<double>::infinity();  ///< seconds until the run is given up
  std::optional<Expected> expected;
  std::string checksum;  ///< that of the first output as it should be
  std::string save;      ///< path of a file that the first output is written to
};

/// @throws Error saying what is wrong with the line.
Request parse_request(std::string_view line);

}  // namespace lts::runner
