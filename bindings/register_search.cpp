#include <pybind11/stl.h>

#include "py_search.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;
using lts::Candidate;
using lts::SearchSpace;

namespace {

/// What `Search` is, with the algorithms and the names of their options.
std::string search_doc() {
  std::string algorithms;
  std::string options;
  for (const std::string_view name : lts::algorithm_names()) {
    lts::AlgorithmOptions defaults = lts::algorithm_options(name);
    const lts::AlgorithmDescription description = lts::describe(defaults);
    algorithms.append("\n    ``").append(name).append("``: ").append(description.doc);
    if (description.options.empty()) continue;
    options.append("\n    ``").append(name).append("``: ").append(joined(description.options));
  }
  return R"(Ask for candidates, tell their results, in any order and any number at a time.

The same seed and the same sequence of calls give the same candidates on every platform. Calls on one search take turns:
a call while another thread is inside one raises RuntimeError.

Parameters
----------
space
    What is searched.
objectives
    Columns with ``min`` or ``max``: ``{"decoder_params": "max", "latency_ms": "min"}`` or
    ``["decoder_params:max", "latency_ms:min"]``.
constraints
    Bounds such as ``"latency_ms<=20"``.
algorithm)" +
         algorithms + R"(
seed
    From 0 to 2**64 - 1.
**algorithm_options
    See `algorithm_options` for defaults and ranges.)" +
         options + R"(

Raises
------
ValueError
    No objective, a column named twice, an unknown algorithm, or an option that is unknown or out of range.

Examples
--------
>>> import lts
>>> space = lts.SearchSpace(n_layer=[2, 3], d_model=[64, 128], n_head=[2, 4], d_ff=[128, 256, 512])
>>> search = lts.Search(space, {"decoder_params": "max", "flops_prefill": "min"}, algorithm="exhaustive")
>>> search.run(10_000) == space.size
True)";
}

void register_results(py::module_& m) {
  py::class_<Candidate>(m, "Candidate", "An architecture to evaluate; see `Search.ask`.")
      .def_readonly("id", &Candidate::id, "What `Search.tell` is called with.")
      .def_readonly("architecture", &Candidate::architecture, "What to evaluate.")
      .def("__repr__", [](const Candidate& c) {
        return "<Candidate " + std::to_string(c.id) + ": " + std::string(py::repr(py::cast(c.architecture))) + ">";
      });
  py::class_<PyFrontMember>(m, "FrontMember", "A feasible, non-dominated result; see `Search.front`.")
      .def_readonly("id", &PyFrontMember::id, "Id of the candidate.")
      .def_readonly("architecture", &PyFrontMember::architecture, "What was evaluated.")
      .def_readonly("values", &PyFrontMember::values, "One value per objective, in its own direction.")
      .def("__repr__", [](const PyFrontMember& f) {
        return "<FrontMember " + std::to_string(f.id) + ": " + std::string(py::repr(f.values)) + ">";
      });
}

}  // namespace

void register_search(py::module_& m) {
  register_results(m);
  py::class_<PySearch>(m, "Search", search_doc().c_str())
      .def(py::init(&PySearch::make), py::arg("space"), py::arg("objectives"), py::arg("constraints") = py::tuple(),
           py::arg("algorithm") = "lts", py::arg("seed") = 0)
      .def("ask", &PySearch::ask, py::arg("n") = 1,
           "Up to n new candidates; fewer, in the end none, when the space is used up. No architecture comes twice.")
      .def(
          "add", [](PySearch& s, const Architecture& a, bool initial) { return s.idle().add(a, initial); },
          py::arg("architecture"), py::kw_only(), py::arg("initial") = false,
          R"(An architecture of your own choice as a candidate, to be told like any other.

Parameters
----------
architecture
    A member of the space.
initial
    Whether it takes the place of a random one in the first population of the algorithm, where that has one.

Returns
-------
int or None
    Its id; None when it was proposed before.

Raises
------
ValueError
    When it is not in the space.)")
      .def("tell", &PySearch::tell, py::arg("id"), py::arg("values"), R"(The results of a candidate.

Parameters
----------
id
    Id of the candidate.
values
    One finite number per column of `columns`, in its own direction; None when the candidate could not be evaluated.

Raises
------
ValueError
    An unknown or already told id, a missing or unknown column, or a value that is not finite.)")
      .def(
          "tell_failed", [](PySearch& s, const Int& id) { s.idle().tell_failed(to_uint64(id, "id")); }, py::arg("id"),
          R"(The candidate could not be evaluated; it will not be asked again.

Raises
------
ValueError
    An unknown or already told id.)")
      .def("run", &PySearch::run, py::arg("n"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
           py::arg("precision") = "float32", py::arg("logits") = "all", py::arg("cost_models") = py::none(),
           py::arg("surrogates") = py::none(),
           R"(Evaluate n candidates on analytic and predicted columns, in C++ and without the GIL.

Ctrl-C stops between candidates, with everything told so far kept.

Parameters
----------
n
    How many.
n_prompt, batch, precision, logits
    See `analytic`.
cost_models
    `Surrogate`, `LayerCosts`, `LossTable` or `LayerQuality` by column, for those that are predicted.
surrogates
    The older name of it.

Returns
-------
int
    How many were evaluated; fewer when the space is used up.

Raises
------
ValueError
    When a column is neither among `analytic_names` nor predicted.)")
      .def("front", &PySearch::front, "The feasible, non-dominated results, in the order of `archive`.")
      .def(
          "pending", [](PySearch& s) { return s.idle().pending(); }, "Candidates asked and not told, ascending ids.")
      .def_property_readonly("archive", &PySearch::archive,
                             "A copy of the archive: ids and minimized values of the front.")
      .def_property_readonly(
          "columns", &PySearch::columns,
          "What `tell` needs values for: the objectives, then the columns that only constraints use.")
      .def_property_readonly(
          "objectives", [](PySearch& s) { return s.options().objectives; }, "What is optimized.")
      .def_property_readonly(
          "constraints", [](PySearch& s) { return s.options().constraints; }, "The bounds.")
      .def_property_readonly(
          "algorithm", [](PySearch& s) { return lts::algorithm_name(s.options().algorithm); }, "Name of the algorithm.")
      .def_property_readonly(
          "algorithm_options", [](PySearch& s) { return options_of(s.idle().options().algorithm); },
          "All options of the algorithm.")
      .def_property_readonly(
          "seed", [](PySearch& s) { return s.options().seed; }, "Seed of the search.")
      .def_property_readonly(
          "space", [](PySearch& s) -> const SearchSpace& { return s.space(); }, "What is searched.")
      .def_property_readonly(
          "n_asked", [](PySearch& s) { return s.idle().n_asked(); }, "Candidates handed out.")
      .def_property_readonly(
          "n_told", [](PySearch& s) { return s.idle().n_told(); }, "Candidates with results.")
      .def_property_readonly(
          "n_failed", [](PySearch& s) { return s.idle().n_failed(); }, "Candidates that failed.")
      .def("save", &PySearch::save, "The whole state as one line of JSON; `load` resumes exactly there.")
      .def_static("load", &PySearch::load, py::arg("text"), R"(The search that `save` saved.

Raises
------
ValueError
    With line and column of a syntax error, or naming what is wrong with the state.)")
      .def("__repr__", &PySearch::representation);
}
