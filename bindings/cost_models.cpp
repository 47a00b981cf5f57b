#include "cost_models.hpp"

#include "py_layer_quality.hpp"
#include "register.hpp"

namespace lts::python {

Columns::Columns(std::span<const std::string> names, const CostModelsArgument& models, const Workload& workload)
    : workload_(workload) {
  for (const std::string& name : names) {
    if (models.is_none() || !models.contains(py::str(name))) {
      sources_.emplace_back(analytic(name));
      continue;
    }
    const py::object& model = held_.emplace_back(models[py::str(name)]);
    if (py::isinstance<LayerCosts>(model)) {
      sources_.emplace_back(&model.cast<const LayerCosts&>());
    } else if (py::isinstance<LossTable>(model)) {
      sources_.emplace_back(&model.cast<const LossTable&>());
    } else if (py::isinstance<PyLayerQuality>(model)) {
      sources_.emplace_back(&model.cast<const PyLayerQuality&>());
    } else {
      sources_.emplace_back(&to_surrogate(model));
    }
  }
}

void Columns::evaluate(const Architecture& architecture, std::span<double> values) const {
  struct Value {
    const Architecture& architecture;
    const Workload& workload;
    double operator()(AnalyticFunction count) const { return count(architecture, workload); }
    double operator()(const Surrogate* model) const { return model->predict(architecture); }
    double operator()(const LossTable* table) const { return table->predict(architecture); }
    double operator()(const LayerQuality* model) const { return model->predict(architecture); }
    double operator()(const LayerCosts* model) const { return model->predict(architecture, workload); }
  };
  for (std::size_t i = 0; i < sources_.size(); ++i) values[i] = std::visit(Value{architecture, workload_}, sources_[i]);
}

}  // namespace lts::python
