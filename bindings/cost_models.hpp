#pragma once

#include <lts/analytic.hpp>
#include <lts/importance.hpp>
#include <lts/layer_costs.hpp>
#include <lts/layer_quality.hpp>
#include <lts/surrogate.hpp>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "convert.hpp"

namespace lts::python {

using CostModelsArgument =
    Argument<"collections.abc.Mapping[str, Surrogate | LayerCosts | LossTable | LayerQuality] | None">;

/// The values of the columns of a search: from a model of costs or of quality if there is one, else counted.
class Columns {
 public:
  /// @throws std::invalid_argument when a column is neither analytic nor has a model, py::type_error for an object that
  /// is not a model.
  Columns(std::span<const std::string> names, const CostModelsArgument& models, const Workload& workload);

  /// One value per column. Needs no GIL.
  void evaluate(const Architecture& architecture, std::span<double> values) const;

 private:
  std::vector<
      std::variant<AnalyticFunction, const Surrogate*, const LayerCosts*, const LossTable*, const LayerQuality*>>
      sources_;
  std::vector<py::object> held_;  ///< objects that the sources point into
  Workload workload_;
};

}  // namespace lts::python
