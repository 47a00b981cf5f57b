#include <pybind11/stl.h>

#include <lts/json.hpp>
#include <lts/pooled.hpp>
#include <lts/surrogate.hpp>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "py_surrogate.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;
using lts::Surrogate;

namespace {

std::vector<double> prior_of(const py::object& prior) {
  if (prior.is_none()) return {};
  std::vector<double> coefficients;
  for (const std::string_view name : lts::cost_term_names()) {
    const py::str key{std::string(name)};
    if (!prior.contains(key)) throw py::value_error("surrogate: the prior has no '" + std::string(name) + "'");
    coefficients.push_back(to_double(prior[key], "prior '" + std::string(name) + "'"));
  }
  return coefficients;
}

PySurrogate fit(const Architectures& architectures, const ArrayLike& values, const OptionalArrayLike& noise,
                const py::object& prior, bool pairwise, double level, bool trust_prior) {
  const std::vector<lts::CostSample> samples = to_samples(architectures, values, noise);
  const lts::SurrogateOptions options{
      .pairwise = pairwise, .level = level, .prior = prior_of(prior), .trust_prior = trust_prior};
  const py::gil_scoped_release release;
  lts::SurrogateFit quality;
  Surrogate surrogate = Surrogate::fit(samples, options, &quality);
  return {std::move(surrogate), std::move(quality)};
}

py::array_t<double> predict(const PySurrogate& self, const Architectures& architectures) {
  py::array_t<double> result(static_cast<py::ssize_t>(architectures.size()));
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const Architecture& a : architectures) *out++ = self.surrogate.predict(a);
  return result;
}

py::array_t<double> interval(const PySurrogate& self, const Architectures& architectures) {
  py::array_t<double> result({static_cast<py::ssize_t>(architectures.size()), py::ssize_t{2}});
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const Architecture& a : architectures) {
    const lts::Prediction p = self.surrogate.interval(a);
    *out++ = p.low;
    *out++ = p.high;
  }
  return result;
}

py::array_t<double> terms(const Architectures& architectures) {
  py::array_t<double> result(
      {static_cast<py::ssize_t>(architectures.size()), static_cast<py::ssize_t>(lts::n_cost_terms)});
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const Architecture& a : architectures) {
    for (const double amount : lts::cost_terms(a)) *out++ = amount;
  }
  return result;
}

Named coefficients(const PySurrogate& self) {
  return named_terms(self.surrogate.state().coefficients, self.surrogate.state().pairwise);
}

}  // namespace

std::vector<lts::CostSample> to_samples(const Architectures& architectures, py::handle values, py::handle noise) {
  const std::size_t n = architectures.size();
  const Doubles costs = to_point(values, "values", n);
  const Doubles errors = noise.is_none() ? Doubles() : to_point(noise, "noise", n);
  std::vector<lts::CostSample> samples;
  for (std::size_t i = 0; i < n; ++i) {
    samples.push_back({architectures[i], costs.data()[i], noise.is_none() ? 0.0 : errors.data()[i]});
  }
  return samples;
}

Named named_terms(std::span<const double> coefficients, bool pairwise) {
  Named named;
  const std::vector<std::string> names = lts::surrogate_feature_names(pairwise);
  for (std::size_t i = 0; i < names.size(); ++i) named[py::str(names[i])] = coefficients[i];
  return named;
}

const lts::Surrogate& to_surrogate(py::handle value) {
  if (!py::isinstance<PySurrogate>(value))
    throw py::type_error("cost_models must be a dict from column to Surrogate, LayerCosts, LossTable or LayerQuality");
  return value.cast<const PySurrogate&>().surrogate;
}

void register_surrogate(py::module_& m) {
  m.def(
      "cost_term_names",
      [] {
        const auto names = lts::cost_term_names();
        return std::vector<std::string_view>(names.begin(), names.end());
      },
      "Names of the terms whose sum models a cost.");
  m.def("cost_terms", &terms, py::arg("architectures"),
        "Amounts of the terms, counted from the inventory of weights: float64, (n, number of terms).");

  py::class_<PySurrogate>(m, "Surrogate", R"(A cost as a sum of analytic terms, fitted to measurements.

Coefficients are not negative (Lawson and Hanson 1974); errors are relative, weighted by the noise of the samples.
Intervals are conformal, from predicting every sample from all others (Barber et al. 2021), and Student's where the
samples are too few for that.)")
      .def_static("fit", &fit, py::arg("architectures"), py::arg("values"), py::kw_only(),
                  py::arg("noise") = py::none(), py::arg("prior") = py::none(), py::arg("pairwise") = false,
                  py::arg("level") = 0.9, py::arg("trust_prior") = false, R"(Fit to measured costs.

Parameters
----------
architectures
    The measured architectures, at least 3 (2 with a prior).
values : array_like, shape (n,)
    Their costs, above 0, in any unit.
noise : array_like, shape (n,)
    Standard errors relative to the values; none by default.
prior
    `coefficients` of another device of the same kind; a few samples then suffice to adapt them.
pairwise
    Whether to add products of two terms, for devices on which costs do not simply add up.
level
    Share of architectures whose cost lies in the predicted interval.
trust_prior
    Whether the prior is of several devices, as of `Pooled`: its pull is the strongest that predicts left-out samples
    worse than the best by no more than a standard error.

Raises
------
ValueError
    For too few samples, or a number out of range.)")
      .def("predict", &predict, py::arg("architectures"), "Costs in the unit of the samples: float64, (n,).")
      .def("interval", &interval, py::arg("architectures"), "Low and high ends of the intervals: float64, (n, 2).")
      .def_property_readonly("coefficients", &coefficients,
                             "Coefficients by name of the term, or of the product of two.")
      .def_property_readonly(
          "error", [](const PySurrogate& s) { return s.surrogate.state().error; },
          "Mean relative error of predicting every sample from the others.")
      .def_property_readonly(
          "error_max", [](const PySurrogate& s) { return s.surrogate.state().error_max; },
          "Largest relative error of predicting a sample.")
      .def_property_readonly(
          "n_samples", [](const PySurrogate& s) { return s.surrogate.state().n_samples; },
          "Number of samples of the fit.")
      .def_property_readonly(
          "pairwise", [](const PySurrogate& s) { return s.surrogate.state().pairwise; },
          "Whether it has products of terms.")
      .def_property_readonly(
          "left_out", [](const PySurrogate& s) { return s.quality.left_out; },
          "Prediction of every sample from the others; empty for one that was loaded.")
      .def_property_readonly(
          "outlier", [](const PySurrogate& s) { return s.quality.outlier; },
          "Samples so far off that the fit leaves them out; empty for one that was loaded.")
      .def(
          "scaled",
          [](const PySurrogate& s, double factor) {
            return PySurrogate{lts::scaled(s.surrogate, factor), {}};
          },
          py::arg("factor"),
          "The same costs in another unit, `factor` times, from 1e-150 to 1e150. Raises ValueError for another one.")
      .def(
          "to_json", [](const PySurrogate& s) { return lts::to_json(s.surrogate.state()); }, "One line of JSON.")
      .def_static(
          "from_json",
          [](const std::string& text) {
            return PySurrogate{Surrogate(lts::surrogate_from_json(text)), {}};
          },
          py::arg("text"), "The inverse of `to_json`. Raises ValueError naming what is wrong with it.")
      .def("__repr__", [](const PySurrogate& s) {
        const auto& state = s.surrogate.state();
        return "<Surrogate of " + std::to_string(state.n_samples) + " samples, error " +
               std::to_string(100 * state.error) + " %>";
      });
}
