// Cost models from JSON, and what they predict.

#include <cmath>

#include "fuzz.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OwnedSurrogate surrogate;
  OwnedSurrogate again;
  if (!read_twice(data, size, lts_surrogate_from_json, lts_surrogate_to_json, surrogate, again)) return 0;

  lts_surrogate_quality quality = LTS_SURROGATE_QUALITY_INIT;
  must(lts_surrogate_get_quality(surrogate, &quality), "the quality can be had");
  expect(std::isfinite(quality.error) && std::isfinite(quality.error_max), "errors are finite");

  for (const lts_architecture* architecture : {sample_architecture(), largest_architecture()}) {
    if (architecture == largest_architecture() && size % 16 != 0) continue;  // it is 4096 layers deep
    double predicted = -1;
    double value = -1;
    double low = -1;
    double high = -1;
    must(lts_surrogate_predict(surrogate, architecture, &predicted), "costs can be predicted");
    must(lts_surrogate_interval(surrogate, architecture, &value, &low, &high), "with an interval");
    expect(std::isfinite(value) && value == predicted, "the interval is of the prediction");
    expect(std::isfinite(high) && 0 <= low && low <= value && value <= high, "the prediction lies in its interval");
  }
  return 0;
}
