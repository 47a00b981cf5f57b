#pragma once

#include <pybind11/pybind11.h>

#include <lts/surrogate.hpp>

// One function per concept: adds its classes and functions to lts._core.
void register_family(pybind11::module_& m);
void register_architecture(pybind11::module_& m);
void register_weights(pybind11::module_& m);
void register_cost(pybind11::module_& m);
void register_search_space(pybind11::module_& m);
void register_pareto(pybind11::module_& m);
void register_proxy(pybind11::module_& m);
void register_surrogate(pybind11::module_& m);
void register_pooled(pybind11::module_& m);
void register_layer_costs(pybind11::module_& m);
void register_layer_quality(pybind11::module_& m);
void register_importance(pybind11::module_& m);
void register_knapsack(pybind11::module_& m);
void register_algorithms(pybind11::module_& m);
void register_search(pybind11::module_& m);

/// The surrogate in a Python object. @throws pybind11::type_error for another object.
const lts::Surrogate& to_surrogate(pybind11::handle value);
