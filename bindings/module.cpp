#include <pybind11/pybind11.h>

#include "register.hpp"

PYBIND11_MODULE(_core, m) {
  m.doc() = "The compiled core of lts-engine.";
  m.attr("__version__") = LTS_VERSION;
  register_family(m);
  register_architecture(m);
  register_weights(m);
  register_cost(m);
  register_search_space(m);
  register_pareto(m);
  register_proxy(m);
  register_surrogate(m);
  register_pooled(m);
  register_layer_costs(m);
  register_layer_quality(m);
  register_importance(m);
  register_knapsack(m);
  register_algorithms(m);
  register_search(m);
}
