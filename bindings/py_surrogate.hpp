#pragma once

#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <lts/surrogate.hpp>
#include <span>
#include <vector>

// What register_surrogate.cpp and register_pooled.cpp have in common.
namespace lts::python {

/// A surrogate and, if it was fitted here, the quality of the fit.
struct PySurrogate {
  Surrogate surrogate;
  SurrogateFit quality;
};

}  // namespace lts::python

using Architectures = std::vector<lts::Architecture>;
using Named = pybind11::typing::Dict<pybind11::str, pybind11::float_>;

/// Samples from architectures, their values and, unless it is None, noise. @throws pybind11::value_error
std::vector<lts::CostSample> to_samples(const Architectures& architectures, pybind11::handle values,
                                        pybind11::handle noise);

/// Coefficients by name of the term, or of the product of two.
Named named_terms(std::span<const double> coefficients, bool pairwise);
