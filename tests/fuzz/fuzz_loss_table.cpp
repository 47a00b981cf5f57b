// Loss tables from JSON, what they predict, and the front that they give.

#include <cmath>

#include "fuzz.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OwnedLossTable table;
  OwnedLossTable again;
  if (!read_twice(data, size, lts_loss_table_from_json, lts_loss_table_to_json, table, again)) return 0;

  const lts_architecture* const architecture = sample_architecture();
  double loss = -1;
  double low = -1;
  double high = -1;
  if (good(lts_loss_table_predict(table, architecture, &loss, &low, &high))) {
    expect(std::isfinite(high) && 0 <= low && low <= loss && loss <= high, "the prediction lies in its interval");
    const lts_architecture* const samples[] = {architecture, architecture, architecture};
    const double losses[] = {1.0, 2.0, 4.0};
    OwnedLossTable fitted;
    if (good(lts_loss_table_refit(table, samples, losses, 3, 0.9, fitted.out()))) {
      must(lts_loss_table_predict(fitted, architecture, &loss, &low, &high), "a fitted table predicts the same");
      expect(std::isfinite(high) && 0 <= low && low <= loss && loss <= high, "the prediction lies in its interval");
    }
  }

  OwnedSpace space;
  must(lts_space_from_json(R"({"n_layer":[2],"d_model":[64],"heads":[[2,2],[4,4]],"d_ff":[128,256]})", space.out()),
       "a space can be had");
  const EmptyArchitecture member;
  if (good(lts_knapsack(space, table, "decoder_params", nullptr, 1e9, 1, member, &loss))) {
    expect(is_member(space, member), "what loses least is in the space");
    double predicted = -1;
    must(lts_loss_table_predict(table, member, &predicted, nullptr, nullptr), "and in the table");
    expect(std::abs(predicted - loss) <= 1e-9 * loss, "it loses what was said");
  }
  return 0;
}
