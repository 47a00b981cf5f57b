#include <lts/indicators.hpp>
#include <string>

#include "arrays.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;

namespace {

template <auto function>
double indicator(const ArrayLike& points_argument, const ArrayLike& reference_argument) {
  const Doubles points = to_points(points_argument);
  const Doubles reference = to_points(reference_argument, "reference");
  if (points.shape(1) != reference.shape(1)) {
    throw py::value_error("reference has points of " + std::to_string(reference.shape(1)) + " objectives; expected " +
                          std::to_string(points.shape(1)) + ", as points has");
  }
  const py::gil_scoped_release release;
  return function(span_of(points), span_of(reference), static_cast<std::size_t>(points.shape(1)));
}

constexpr const char* kArguments = R"(

Parameters
----------
points : array_like, shape (n, m)
    An approximation of a front, in any order; dominated and equal points count.
reference : array_like, shape (r, m)
    The front that it is compared with.

Returns
-------
float
    A mean of Euclidean distances, O(n r m); equal infinite coordinates are 0 apart.

Raises
------
ValueError
    For a wrong shape, no points, or a value that is not a number.)";

}  // namespace

void register_indicators(py::module_& m) {
  const auto define = [&m](const char* name, const auto& function, const std::string& doc) {
    m.def(name, function, py::arg("points"), py::arg("reference"), (doc + kArguments).c_str());
  };
  define("gd", &indicator<lts::gd>,
         "Generational distance: from each point to the nearest of the reference, all objectives minimized.\n\n"
         "Van Veldhuizen and Lamont 1998, averaged with p = 1 (Schütze et al. 2012).");
  define("igd", &indicator<lts::igd>,
         "Inverted generational distance: from each of the reference to the nearest point, all objectives minimized."
         "\n\nCoello Coello and Reyes Sierra 2004, averaged with p = 1 (Schütze et al. 2012).");
  define("gd_plus", &indicator<lts::gd_plus>,
         "`gd` of the amounts alone by which points are worse than the reference.\n\n"
         "GD+ of Ishibuchi et al. 2015; weakly Pareto compliant.");
  define("igd_plus", &indicator<lts::igd_plus>,
         "`igd` of the amounts alone by which points are worse than the reference.\n\n"
         "IGD+ of Ishibuchi et al. 2015; weakly Pareto compliant.");
}
