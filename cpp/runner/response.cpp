#include "response.hpp"

#include <nlohmann/json.hpp>

#include "error.hpp"

namespace lts::runner {

namespace {

using Json = nlohmann::ordered_json;

std::string line(const char* key, Json value) {
  const Json response{{key, std::move(value)}};
  return response.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string value_line(const Result& result) {
  Json value{{"samples_ns", result.timing.samples_ns},
             {"wall_ns", result.timing.wall_ns},
             {"peak_memory_mib", result.peak_memory_mib},
             {"checksum", result.checksum},
             {"rms", result.rms},
             {"load_seconds", result.load_seconds},
             {"run_seconds", result.run_seconds},
             {"warnings", result.warnings},
             {"disturbed", result.timing.disturbed}};
  if (result.output_error) value["output_error"] = *result.output_error;
  if (result.correct) value["correct"] = *result.correct;
  return line("value", std::move(value));
}

std::string value_line(const Environment& environment, const Versions& versions) {
  return line("value", {{"cpu", environment.cpu},
                        {"cores", environment.cores},
                        {"governor", environment.governor},
                        {"memory_mib", environment.memory_mib},
                        {"triple", environment.triple},
                        {"kernel", environment.kernel},
                        {"runner", versions.runner},
                        {"tvm", versions.tvm}});
}

std::string error_line(std::string_view error) { return line("error", one_line(error)); }

}  // namespace lts::runner
