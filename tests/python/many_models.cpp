// Runs models again and again in one process: many_models FOLDER TVM N MODEL... See test_on_device.py.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "runner/error.hpp"
#include "runner/run.hpp"

namespace {

using lts::runner::Request;

int n_mapped() {
  std::ifstream maps("/proc/self/maps");
  int n = 0;
  for (std::string line; std::getline(maps, line);) n += static_cast<int>(line.ends_with("/model.so"));
  return n;
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

std::string error_of(const Request& request, const std::string& folder) {
  try {
    lts::runner::run(request, folder, "");
  } catch (const lts::runner::Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argv[1];
  Request request;
  request.sampling = {.min_time = 0, .min_repeats = 2};
  request.files["weights.bin"] = folder + "weights.bin";
  for (int round = 0; round < std::atoi(argv[3]); ++round) {
    for (int i = 4; i < argc; ++i) {
      request.run = folder + argv[i];
      const auto result = lts::runner::run(request, folder, argv[2]);
      std::printf("run %s %s %zu %.3f\n", argv[i], result.checksum.c_str(), result.warnings.size(),
                  result.peak_memory_mib);
    }
    request.run = folder + "nowhere/model.json";
    std::printf("error %s\n", error_of(request, folder).c_str());
    std::printf("round %ld %d\n", resident_kib(), n_mapped());
  }
  request.run = folder + argv[4];
  std::printf("folder %s\n", error_of(request, "/elsewhere/").c_str());
  Request other = request;
  other.sampling.threads = 2;
  std::printf("threads %s\n", error_of(other, folder).c_str());
  other = request;
  other.cpus = {0};
  std::printf("cpus %s\n", error_of(other, folder).c_str());
  return 0;
}
