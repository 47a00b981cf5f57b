// Models of quality by layer from JSON, and what they predict.

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "fuzz.hpp"
#include "lts/json.hpp"
#include "lts/layer_quality.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

namespace {

std::optional<lts::LayerQuality> read(std::string_view json) {
  try {
    return lts::LayerQuality(lts::layer_quality_from_json(json));
  } catch (const std::invalid_argument& error) {
    expect(error.what()[0] != '\0', "a text that is refused is told why");
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto model = read({reinterpret_cast<const char*>(data), size});
  if (!model) return 0;
  const std::string written = lts::to_json(model->state());
  const auto again = read(written);
  expect(again && lts::to_json(again->state()) == written, "what is read from it is written the same");

  const lts::Architecture architecture = lts::architecture_from_json(
      R"({"family":"gpt2","vocab_size":50257,"n_positions":1024,"d_model":256,"n_head":[4,8],"d_ff":[512,1024]})");
  const lts::Prediction found = model->interval(architecture);
  expect(std::isfinite(found.value) && found.low <= found.value && found.value <= found.high,
         "the prediction is a number in its interval");
  return 0;
}
