#include <algorithm>
#include <cstdint>
#include <lts/hypervolume.hpp>
#include <lts/sort.hpp>
#include <vector>

#include "arrays.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;

namespace {

/// Calls a function of the core without the GIL and makes its vector an array of T.
template <class T, class Function>
py::array_t<T> call(const ArrayLike& argument, const Function& function) {
  const Doubles points = to_points(argument);
  const auto values = [&] {
    const py::gil_scoped_release release;
    return function(span_of(points), static_cast<std::size_t>(points.shape(1)));
  }();
  py::array_t<T> result(static_cast<py::ssize_t>(values.size()));
  std::copy(values.begin(), values.end(), result.mutable_data());
  return result;
}

double hypervolume(const ArrayLike& points_argument, const ArrayLike& reference_argument) {
  const Doubles points = to_points(points_argument);
  const Doubles reference = to_point(reference_argument, "reference", static_cast<std::size_t>(points.shape(1)));
  const py::gil_scoped_release release;
  return lts::hypervolume(span_of(points), span_of(reference));
}

}  // namespace

// These are defined in other files.
void register_objective(py::module_& m);
void register_archive(py::module_& m);
void register_indicators(py::module_& m);
void register_attainment(py::module_& m);

void register_pareto(py::module_& m) {
  register_objective(m);
  register_archive(m);
  register_indicators(m);
  register_attainment(m);
  m.def("hypervolume", &hypervolume, py::arg("points"), py::arg("reference"),
        R"(Volume that points dominate, up to a reference point, all objectives minimized.

Parameters
----------
points : array_like, shape (n, m)
    In any order; dominated and equal points are allowed. A point that is not better than the reference in every
    coordinate adds nothing.
reference : array_like, shape (m,)
    The reference point, finite.

Returns
-------
float
    Exact up to rounding; infinite when a counted coordinate is minus infinity.

Raises
------
ValueError
    For a wrong shape, a value that is not a number, or a reference that is not finite.

Notes
-----
Dimension sweep: O(n log n) for m up to 3 (Beume et al. 2009), O(n^(m-2) log n) from m = 4 on (Guerreiro, Fonseca and
Emmerich 2012, applied recursively).

Examples
--------
>>> import lts
>>> lts.hypervolume([[1, 3], [2, 2], [3, 1]], reference=[4, 4])
6.0)");
  m.def(
      "nondominated_sort", [](const ArrayLike& points) { return call<std::uint32_t>(points, lts::nondominated_sort); },
      py::arg("points"), R"(Number of the front of every point, 0 for the Pareto front, all objectives minimized.

Parameters
----------
points : array_like, shape (n, m)
    Equal points share a front.

Returns
-------
ndarray of uint32, shape (n,)

Raises
------
ValueError
    For a wrong shape or a value that is not a number.

Notes
-----
Fronts are found by bisection (ENS-BS; Zhang et al. 2015): O(n log^2 n) comparisons for m up to 3, else O(m n^2) at
worst.)");
  m.def(
      "nondominated", [](const ArrayLike& points) { return call<std::int64_t>(points, lts::nondominated_indices); },
      py::arg("points"), R"(Indices of the points on the Pareto front, ascending, all objectives minimized.

Parameters
----------
points : array_like, shape (n, m)
    Among equal points only the first counts.

Returns
-------
ndarray of int64

Raises
------
ValueError
    For a wrong shape or a value that is not a number.

Notes
-----
O(n log n) comparisons for m up to 3, else O(m n^2) at worst.)");
  m.def(
      "crowding_distance", [](const ArrayLike& points) { return call<double>(points, lts::crowding_distance); },
      py::arg("points"), R"(Crowding distance of every point of one front, infinite at the extremes of each objective.

Parameters
----------
points : array_like, shape (n, m)

Returns
-------
ndarray of float64, shape (n,)

Raises
------
ValueError
    For a wrong shape or a value that is not a number.

Notes
-----
O(m n log n); Deb et al. 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II".)");
}
