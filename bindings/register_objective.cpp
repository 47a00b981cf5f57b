#include <pybind11/operators.h>
#include <pybind11/pybind11.h>

#include <lts/objective.hpp>
#include <string>
#include <string_view>

namespace py = pybind11;
using lts::Constraint;
using lts::Objective;

namespace {

std::string_view direction_of(const Objective& o) { return o.direction == lts::Direction::minimize ? "min" : "max"; }
std::string_view relation_of(const Constraint& c) { return c.relation == Constraint::Relation::at_most ? "<=" : ">="; }
std::string quoted(std::string_view text) { return py::repr(py::str(text.data(), text.size())); }

}  // namespace

void register_objective(py::module_& m);  // called by register_pareto

void register_objective(py::module_& m) {
  py::class_<Objective>(m, "Objective", R"(A column that is optimized.

Parameters
----------
name : str
direction : {"min", "max"}

Raises
------
ValueError
    For another direction or a name that is empty or has a space or one of ``:<>=``.)")
      .def(py::init([](const std::string& name, const std::string& direction) {
             return lts::parse_objective(name + ":" + direction);
           }),
           py::arg("name"), py::arg("direction") = "min")
      .def_readonly("name", &Objective::name, "Name of the column.")
      .def_property_readonly("direction", &direction_of, "``min`` or ``max``.")
      .def(py::self == py::self)
      .def("__hash__", [](const Objective& o) { return py::hash(py::make_tuple(o.name, direction_of(o))); })
      .def("__str__", py::overload_cast<const Objective&>(&lts::to_string))
      .def(py::pickle([](const Objective& o) { return to_string(o); },
                      [](const std::string& text) { return lts::parse_objective(text); }))
      .def("__repr__",
           [](const Objective& o) { return "Objective(" + quoted(o.name) + ", " + quoted(direction_of(o)) + ")"; });
  py::class_<Constraint>(m, "Constraint", R"(A bound on a column.

Parameters
----------
name : str
relation : {"<=", ">="}
bound : float
    Finite.

Raises
------
ValueError
    For another relation, a bound that is not finite, or a name that is empty or has a space or one of ``:<>=``.)")
      .def(py::init([](const std::string& name, const std::string& relation, double bound) {
             if (relation != "<=" && relation != ">=") {
               throw py::value_error("relation is " + quoted(relation) + "; expected '<=' or '>='");
             }
             return lts::parse_constraint(name + relation + std::string(py::repr(py::float_(bound))));
           }),
           py::arg("name"), py::arg("relation"), py::arg("bound"))
      .def_readonly("name", &Constraint::name, "Name of the column.")
      .def_property_readonly("relation", &relation_of, "``<=`` or ``>=``.")
      .def_readonly("bound", &Constraint::bound, "The limit of the values; it is allowed itself.")
      .def("violation", &lts::violation, py::arg("value"),
           "Distance of the value beyond the bound, relative to max(1, abs(bound)); 0 when the constraint holds.")
      .def(
          "holds", [](const Constraint& c, double value) { return lts::violation(c, value) == 0.0; }, py::arg("value"),
          "Whether the value is within the bound; NaN is not.")
      .def(py::self == py::self)
      .def("__hash__", [](const Constraint& c) { return py::hash(py::make_tuple(c.name, relation_of(c), c.bound)); })
      .def("__str__", py::overload_cast<const Constraint&>(&lts::to_string))
      .def(py::pickle([](const Constraint& c) { return to_string(c); },
                      [](const std::string& text) { return lts::parse_constraint(text); }))
      .def("__repr__", [](const Constraint& c) {
        return "Constraint(" + quoted(c.name) + ", " + quoted(relation_of(c)) + ", " +
               std::string(py::repr(py::float_(c.bound))) + ")";
      });
  m.def("parse_objective", &lts::parse_objective, py::arg("text"),
        "The `Objective` that ``NAME:min`` or ``NAME:max`` means; ValueError showing the form for anything else.");
  m.def("parse_constraint", &lts::parse_constraint, py::arg("text"),
        "The `Constraint` that ``NAME<=NUMBER`` or ``NAME>=NUMBER`` means; ValueError showing the form otherwise.");
}
