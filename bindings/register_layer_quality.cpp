#include <pybind11/stl.h>
#include <pybind11/typing.h>

#include <lts/json.hpp>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "convert.hpp"
#include "py_layer_quality.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::LayerQuality;

namespace {

using Architectures = std::vector<lts::Architecture>;
using Named = py::typing::Dict<py::str, py::float_>;

PyLayerQuality fit(const Architectures& architectures, const ArrayLike& values, double level, const Int& n_layer) {
  const Doubles qualities = to_point(values, "values", architectures.size());
  std::vector<lts::QualitySample> samples;
  for (std::size_t i = 0; i < architectures.size(); ++i)
    samples.push_back({architectures[i], qualities.data()[static_cast<py::ssize_t>(i)]});
  const lts::LayerQualityOptions options{.level = level, .n_layer = to_int64(n_layer, "n_layer")};
  const py::gil_scoped_release release;
  std::vector<double> left_out;
  LayerQuality model = LayerQuality::fit(samples, options, &left_out);
  return {std::move(model), std::move(left_out)};
}

py::array_t<double> predict(const PyLayerQuality& self, const Architectures& architectures) {
  py::array_t<double> result(static_cast<py::ssize_t>(architectures.size()));
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const lts::Architecture& a : architectures) *out++ = self.predict(a);
  return result;
}

py::array_t<double> interval(const PyLayerQuality& self, const Architectures& architectures) {
  py::array_t<double> result({static_cast<py::ssize_t>(architectures.size()), py::ssize_t{2}});
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const lts::Architecture& a : architectures) {
    const lts::Prediction p = self.interval(a);
    *out++ = p.low;
    *out++ = p.high;
  }
  return result;
}

Named coefficients(const PyLayerQuality& self) {
  Named named;
  const auto names = lts::quality_term_names();
  for (std::size_t i = 0; i < names.size(); ++i) named[py::str(std::string(names[i]))] = self.state().coefficients[i];
  return named;
}

constexpr auto kDoc = R"(Quality of sub-networks of one super-network, as a sum over layers, fitted to few evaluations.

What heads and channels are worth changes smoothly with the layer (Legendre polynomials of its place up to the third
degree); the last two layers of the super-network have terms of their own, and so have `decoder_params`, 1 / `d_model`
and biases. Ridge regression (Hoerl and Kennard 1970), whose penalty predicts left-out samples best (PRESS: Allen 1974).
In a super-network it matters where heads and channels are; models that are trained from scratch even that out, and
`decoder_params` alone ranks them no worse.

>>> import lts
>>> some = lts.SearchSpace.load("hw-gpt-s").sample(20)
>>> model = lts.LayerQuality.fit(some, [60 - 1e-6 * lts.decoder_params(a) for a in some])
>>> round(model.error, 6)
0.0)";

}  // namespace

void register_layer_quality(py::module_& m) {
  py::class_<PyLayerQuality>(m, "LayerQuality", kDoc)
      .def_static("fit", &fit, py::arg("architectures"), py::arg("values"), py::kw_only(), py::arg("level") = 0.9,
                  py::arg("n_layer") = 0,
                  R"(Fit to evaluated qualities.

Parameters
----------
architectures
    The evaluated sub-networks, at least 4. Where only the best are of interest, those near them tell most.
values : array_like, shape (n,)
    Their qualities in any unit, such as perplexity, with a mean that is not 0.
level
    Share of architectures whose quality lies in the predicted interval.
n_layer
    Layers of the super-network, of which sub-networks have the first ones; 0: those of the deepest sample.

Raises
------
ValueError
    For too few samples, or a number out of range.)")
      .def("predict", &predict, py::arg("architectures"), "Qualities in the unit of the samples: float64, (n,).")
      .def("interval", &interval, py::arg("architectures"), "Low and high ends of the intervals: float64, (n, 2).")
      .def_property_readonly("coefficients", &coefficients, "Coefficients by name of the term.")
      .def_property_readonly(
          "error", [](const PyLayerQuality& s) { return s.state().error; },
          "Mean error of predicting every sample from the others, over the samples' mean.")
      .def_property_readonly(
          "n_samples", [](const PyLayerQuality& s) { return s.state().n_samples; }, "Number of samples of the fit.")
      .def_property_readonly(
          "n_layer", [](const PyLayerQuality& s) { return s.state().n_layer; }, "Layers of the super-network.")
      .def_property_readonly(
          "level", [](const PyLayerQuality& s) { return s.state().level; }, "Share of qualities in their intervals.")
      .def_readonly("left_out", &PyLayerQuality::left_out,
                    "Prediction of every sample from the others; empty for one that was loaded.")
      .def(
          "to_json", [](const PyLayerQuality& s) { return lts::to_json(s.state()); }, "One line of JSON.")
      .def_static(
          "from_json",
          [](const std::string& text) { return PyLayerQuality{LayerQuality(lts::layer_quality_from_json(text))}; },
          py::arg("text"), "The inverse of `to_json`. Raises ValueError naming what is wrong with it.")
      .def("__repr__", [](const PyLayerQuality& s) {
        return "<LayerQuality of " + std::to_string(s.state().n_samples) + " samples, error " +
               std::to_string(100 * s.state().error) + " %>";
      });
}
