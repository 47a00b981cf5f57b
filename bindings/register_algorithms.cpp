#include <pybind11/stl.h>

#include <lts/algorithms/table.hpp>
#include <string>
#include <variant>
#include <vector>

#include "register.hpp"

namespace py = pybind11;

namespace {

using Number = std::variant<std::uint32_t, double>;

struct PyAlgorithmOption {
  std::string name;
  Number default_value;
  Number minimum;
  Number maximum;
  std::string doc;
};

std::vector<PyAlgorithmOption> algorithm_options(const std::string& name) {
  lts::AlgorithmOptions defaults = lts::algorithm_options(name);
  std::vector<PyAlgorithmOption> options;
  for (const lts::AlgorithmOption& option : lts::describe(defaults).options) {
    std::visit(
        [&](const auto* value) {
          const auto number = [example = *value](double x) { return static_cast<decltype(example)>(x); };
          options.push_back({std::string(option.name), *value, number(option.minimum), number(option.maximum),
                             std::string(option.doc)});
        },
        option.value);
  }
  return options;
}

std::string_view algorithm_doc(const std::string& name) {
  lts::AlgorithmOptions defaults = lts::algorithm_options(name);
  return lts::describe(defaults).doc;
}

std::string representation(const PyAlgorithmOption& option) {
  const auto text = [](const Number& number) { return std::string(py::repr(py::cast(number))); };
  return "<AlgorithmOption " + option.name + ": " + text(option.default_value) + ", from " + text(option.minimum) +
         " to " + text(option.maximum) + ">";
}

}  // namespace

void register_algorithms(py::module_& m) {
  py::class_<PyAlgorithmOption>(m, "AlgorithmOption", "An option of a search algorithm; see `algorithm_options`.")
      .def_readonly("name", &PyAlgorithmOption::name, "Keyword of `Search`.")
      .def_readonly("default", &PyAlgorithmOption::default_value, "Its value unless another is given.")
      .def_readonly("minimum", &PyAlgorithmOption::minimum, "The least that is allowed.")
      .def_readonly("maximum", &PyAlgorithmOption::maximum, "The most that is allowed.")
      .def_readonly("doc", &PyAlgorithmOption::doc, "What it is, in one sentence.")
      .def("__repr__", &representation);

  m.def(
      "algorithm_names",
      [] {
        const auto names = lts::algorithm_names();
        return std::vector<std::string_view>(names.begin(), names.end());
      },
      "Names of the search algorithms.");
  m.def("algorithm_doc", &algorithm_doc, py::arg("name"), R"(What the algorithm is, in one sentence.

Raises
------
ValueError
    For an unknown algorithm.)");
  m.def("algorithm_options", &algorithm_options, py::arg("name"),
        R"(The options of a search algorithm, with defaults and ranges; those of numbers of architectures are integers.

Raises
------
ValueError
    For an unknown algorithm.

Examples
--------
>>> from lts import _core
>>> _core.algorithm_options("local")
[<AlgorithmOption n_initial: 20, from 1 to 4294967295>])");
}
