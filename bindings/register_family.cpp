#include <pybind11/pybind11.h>

#include <array>
#include <lts/architecture.hpp>

#include "register.hpp"

namespace py = pybind11;
using lts::Family;

namespace {

/// Reads an enumeration of a family as one of the words.
template <class Enum, class... Words>
auto word(Enum Family::*field, Words... words) {
  return [field, names = std::array<std::string_view, sizeof...(Words)>{words...}](const Family& f) {
    return names[static_cast<std::size_t>(f.*field)];
  };
}

}  // namespace

void register_family(py::module_& m) {
  py::class_<Family>(m, "Family", R"(What architectures of one kind have in common; see `families`.)")
      .def_readonly("name", &Family::name, "Name, such as ``gpt2``, ``transformer_xl`` or ``llama``.")
      .def_property_readonly("attention", word(&Family::attention, "multi_head", "grouped_query"),
                             "``multi_head`` or ``grouped_query``.")
      .def_property_readonly("feed_forward", word(&Family::feed_forward, "gelu", "relu", "swiglu", "gelu_erf"),
                             "``gelu`` (its tanh form), ``relu``, ``swiglu`` or ``gelu_erf``, the exact gelu.")
      .def_property_readonly("norm", word(&Family::norm, "layer_norm", "rms_norm"), "``layer_norm`` or ``rms_norm``.")
      .def_property_readonly("norm_placement", word(&Family::norm_placement, "before", "after"),
                             "``before`` or ``after`` the attention and the feed-forward network.")
      .def_readonly(
          "parallel", &Family::parallel,
          "Whether attention and feed-forward network of a layer have one input, and their outputs are added.")
      .def_readonly("final_norm", &Family::final_norm, "Whether a norm follows the last layer.")
      .def_property_readonly("position", word(&Family::position, "learned", "rotary", "relative"),
                             "``learned``, ``rotary`` or ``relative`` (Transformer-XL).")
      .def_property_readonly("head_width", word(&Family::head_width, "exact", "floor"),
                             "``exact``: n_head divides d_model; ``floor``: heads are floor(d_model / n_head) wide.")
      .def_readonly("attention_bias", &Family::attention_bias, "Whether the projections of the attention have biases.")
      .def_readonly("feed_forward_bias", &Family::feed_forward_bias, "Whether the feed-forward network has biases.")
      .def_property_readonly("embedding", word(&Family::embedding, "plain", "adaptive"),
                             "``plain``: adaptive only where an architecture asks for it; ``adaptive``: always.")
      .def_readonly("adaptive_allowed", &Family::adaptive_allowed, "Whether an adaptive embedding can be asked for.")
      .def_readonly("tie_embedding", &Family::tie_embedding, "Default of `Architecture.tie_embedding`.")
      .def_readonly("norm_epsilon", &Family::norm_epsilon, "Added to the variance by the norms.")
      .def_readonly("rotary_theta", &Family::rotary_theta, "Base of the wavelengths of rotary positions.")
      .def_readonly("encoder", &Family::encoder, "Whether it is bidirectional, without an output layer: not searched.")
      .def_readonly("mixed", &Family::mixed, "Whether layers have a `mixer` and `n_ff` of their own.")
      .def_readonly("only_d_model", &Family::only_d_model, "The only `d_model` allowed; 0: any.")
      .def_readonly("only_d_ff", &Family::only_d_ff, "The only `d_ff` allowed; 0: any.")
      .def(
          "__eq__", [](const Family& a, const Family& b) { return a.name == b.name; }, py::is_operator())
      .def("__hash__", [](const Family& f) { return py::hash(py::cast(f.name)); })
      .def("__repr__", [](const Family& f) { return "<Family " + std::string(f.name) + ">"; });

  m.def(
      "families",
      [] {
        py::typing::List<Family> list;
        for (const Family& f : lts::families()) list.append(py::cast(f, py::return_value_policy::reference));
        return list;
      },
      "The known families, in the order of the documentation.");
  m.def("family", &lts::family, py::arg("name"), py::return_value_policy::reference,
        R"(The family of that name.

Parameters
----------
name
    Name of a family, such as ``gpt2``, ``transformer_xl`` or ``llama``; see `families`.

Raises
------
ValueError
    For another name, listing the known ones.)");
}
