#include <pybind11/stl.h>

#include <lts/weights.hpp>
#include <optional>

#include "register.hpp"

namespace py = pybind11;
using lts::Weight;

namespace {

py::tuple shape_of(const Weight& weight) {
  const bool vector = weight.kind == lts::WeightKind::scale || weight.kind == lts::WeightKind::bias;
  return vector ? py::tuple(py::make_tuple(weight.cols)) : py::tuple(py::make_tuple(weight.rows, weight.cols));
}

std::optional<std::int32_t> layer_of(const Weight& weight) {
  return weight.layer < 0 ? std::nullopt : std::optional(weight.layer);
}

std::vector<Weight> weights(const lts::Architecture& architecture) {
  std::vector<Weight> list;
  lts::visit_weights(architecture, [&list](const Weight& weight) { list.push_back(weight); });
  return list;
}

}  // namespace

void register_weights(py::module_& m) {
  py::class_<Weight>(m, "Weight", R"(One weight of the inventory; see `weights`.)")
      .def_property_readonly("name", &lts::weight_name,
                             "Unique and stable, such as ``layers.3.query.weight`` or ``final_norm.scale``.")
      .def_property_readonly(
          "role", [](const Weight& w) { return lts::role_name(w.role); },
          "What it is for, such as ``token_embedding``, ``query``, ``down`` or ``final_norm``.")
      .def_property_readonly(
          "part", [](const Weight& w) { return lts::part_name(lts::part_of(w.role)); },
          "``embedding``, ``decoder`` or ``softmax``: the parts that published parameter counts distinguish.")
      .def_property_readonly(
          "kind", [](const Weight& w) { return lts::weight_kind_name(w.kind); },
          "``matrix`` (y = x W), ``table`` (rows looked up), ``convolution``, ``scale`` or ``bias``.")
      .def_property_readonly(
          "sublayer",
          [](const Weight& w) -> std::optional<std::string> {
            if (lts::is_attention(w.role)) return "attention";
            if (lts::is_feed_forward(w.role)) return "feed_forward";
            return std::nullopt;
          },
          "``attention`` or ``feed_forward``, whose parameters published tables count; None for all others.")
      .def_property_readonly("layer", &layer_of, "Number of the layer, from 0; None outside the layers.")
      .def_readonly(
          "index", &Weight::index,
          "Cluster of the adaptive embedding and softmax, or place in a stack of feed-forward layers, from 0.")
      .def_property_readonly(
          "shape", [](const Weight& w) { return py::typing::Tuple<py::int_, py::ellipsis>(shape_of(w)); },
          "(inputs, outputs) of a matrix, (rows, width) of a table, (taps, channels) or (inputs, outputs) of a "
          "convolution, (width,) of a scale or bias.")
      .def_property_readonly("size", &Weight::size, "Number of elements.")
      .def("__repr__", [](const Weight& w) {
        return "<Weight " + lts::weight_name(w) + " " + std::string(py::repr(shape_of(w))) + ">";
      });

  m.def("weights", &weights, py::arg("architecture"), R"(Every weight of the architecture, in order of use.

The inventory that everything counted or exported derives from; tied weights appear once.

Parameters
----------
architecture
    What to list.

Returns
-------
list of Weight
    The sum of their sizes is `total_params`.)");
}
