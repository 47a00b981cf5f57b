// Cost models from JSON, and what they predict.

#include <cmath>
#include <string>

#include "fuzz.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  OwnedSurrogate surrogate;
  if (!good(lts_surrogate_from_json(json.c_str(), surrogate.out()))) return 0;

  const auto save = [](const lts_surrogate* s) {
    return text_of([s](char** out) { return lts_surrogate_to_json(s, out); }, "a surrogate can be written");
  };
  const std::string saved = save(surrogate);
  OwnedSurrogate again;
  must(lts_surrogate_from_json(saved.c_str(), again.out()), "what was written can be read");
  expect(save(again) == saved, "equal surrogates are written the same");

  lts_surrogate_quality quality = LTS_SURROGATE_QUALITY_INIT;
  must(lts_surrogate_get_quality(surrogate, &quality), "the quality can be had");
  expect(std::isfinite(quality.error) && std::isfinite(quality.error_max), "errors are finite");

  static const bool with_largest = largest_architecture() != nullptr;
  for (const lts_architecture* architecture : {sample_architecture(), largest_architecture()}) {
    if (architecture == largest_architecture() && (!with_largest || size % 16 != 0))
      continue;  // it is 4096 layers deep
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
