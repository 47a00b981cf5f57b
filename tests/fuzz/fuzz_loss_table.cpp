// Loss tables from JSON, what they predict, and the front that they give.

#include <cmath>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.hpp"
#include "lts/cost.hpp"
#include "lts/importance.hpp"
#include "lts/json.hpp"
#include "lts/knapsack.hpp"
#include "lts/search_space.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

namespace {

/// What the call gives; nothing when its argument was wrong, which is all that may go wrong.
template <class Call>
auto attempt(const Call& call) -> std::optional<decltype(call())> {
  try {
    return call();
  } catch (const std::invalid_argument& error) {
    expect(error.what()[0] != '\0', "a call that fails says why");
    return std::nullopt;
  }
}

void check(const lts::Prediction& found) {
  expect(std::isfinite(found.high) && 0 <= found.low && found.low <= found.value && found.value <= found.high,
         "the prediction lies in its interval");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view json(reinterpret_cast<const char*>(data), size);
  const auto table = attempt([&] { return lts::LossTable(lts::loss_table_from_json(json)); });
  if (!table) return 0;
  const std::string written = lts::to_json(table->state());
  const lts::LossTable again(lts::loss_table_from_json(written));
  expect(lts::to_json(again.state()) == written, "what is read from it is written the same");

  const lts::Architecture architecture = lts::architecture_from_json(
      R"({"family":"gpt2","vocab_size":50257,"n_positions":1024,"d_model":256,"n_head":[4,8],"d_ff":[512,1024]})");
  if (const auto found = attempt([&] { return table->interval(architecture); })) {
    check(*found);
    const std::vector<lts::Architecture> samples(3, architecture);
    const std::vector<double> losses{1.0, 2.0, 4.0};
    if (const auto fitted = attempt([&] { return table->refit(samples, losses); })) {
      check(fitted->interval(architecture));
    }
  }

  const lts::SearchSpace space(
      lts::search_space_from_json(R"({"n_layer":[2],"d_model":[64],"heads":[[2,2],[4,4]],"d_ff":[128,256]})"));
  const auto count = [](const lts::Architecture& a) { return static_cast<double>(lts::decoder_params(a)); };
  if (const auto front = attempt([&] { return lts::KnapsackFront(space, *table, count); })) {
    const lts::Architecture member = front->at(0);
    expect(space.contains(member), "what loses least is in the space");
    const double loss = front->losses()[0];
    expect(std::abs(table->predict(member) - loss) <= 1e-9 * loss, "it loses what was said");
  }
  return 0;
}
