#include <string>
#include <vector>

#include "c_api.hpp"
#include "lts/analytic.hpp"
#include "lts/json.hpp"
#include "lts/knapsack.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace

lts_status lts_loss_table_from_json(const char* json, lts_loss_table** out) noexcept {
  return guarded_out(__func__, out,
                     [&] { give(out, lts::LossTable(lts::loss_table_from_json(required_text(json, "json")))); });
}

lts_status lts_loss_table_to_json(const lts_loss_table* table, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_loss_table> borrowed(table, "table");
    give_text(out, lts::to_json(borrowed->state()));
  });
}

lts_status lts_loss_table_destroy(lts_loss_table* table) noexcept { return destroy(__func__, table); }

lts_status lts_loss_table_refit(const lts_loss_table* table, const lts_architecture* const* architectures,
                                const double* losses, size_t n, double level, lts_loss_table** out) noexcept {
  return guarded_out(__func__, out, [&] {
    required_array(architectures, n, "architectures");
    required_array(losses, n, "losses");
    const Borrowed<const lts_loss_table> borrowed(table, "table");
    std::vector<lts::Architecture> samples;
    for (std::size_t i = 0; i < n; ++i) {
      samples.push_back(*Filled(architectures[i], ("architecture " + std::to_string(i)).c_str()));
    }
    give(out, borrowed->refit(samples, {losses, n}, level));
  });
}

lts_status lts_loss_table_predict(const lts_loss_table* table, const lts_architecture* architecture, double* loss,
                                  double* low, double* high) noexcept {
  return guarded(__func__, [&] {
    required(loss, "loss");
    const Borrowed<const lts_loss_table> borrowed(table, "table");
    const Filled filled(architecture, "architecture");
    const lts::Prediction prediction = borrowed->interval(*filled);
    *loss = prediction.value;
    if (low != nullptr) *low = prediction.low;
    if (high != nullptr) *high = prediction.high;
  });
}

lts_status lts_knapsack(const lts_space* space, const lts_loss_table* table, const char* cost,
                        const lts_workload* workload, double max_cost, double unit, lts_architecture* architecture,
                        double* loss) noexcept {
  return guarded(__func__, [&] {
    const Borrowed<const lts_space> borrowed(space, "space");
    const Borrowed<const lts_loss_table> losses(table, "table");
    const lts::AnalyticFunction count = lts::analytic(required_text(cost, "cost"));
    const lts::Workload load = workload_of(workload);
    const Borrowed<lts_architecture> out(architecture, "architecture");
    const lts::KnapsackFront front(*borrowed, *losses, [&](const lts::Architecture& a) { return count(a, load); },
                                   {.unit = unit, .max_cost = max_cost});
    const std::size_t best = front.losses().size() - 1;
    *out = front.at(best);
    if (loss != nullptr) *loss = front.losses()[best];
  });
}
