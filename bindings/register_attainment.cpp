#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <lts/attainment.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;

namespace {

std::vector<py::array_t<double>> attainment_surfaces(const std::vector<ArrayLike>& sets,
                                                     const std::optional<std::vector<Int>>& levels_argument) {
  std::vector<double> points;
  std::vector<std::uint64_t> numbers;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const std::string name = "set " + std::to_string(i);
    const Doubles set = to_points(sets[i], name.c_str());
    if (set.shape(1) != 2) {
      throw py::value_error(name + " has points of " + std::to_string(set.shape(1)) + " objectives; expected 2");
    }
    points.insert(points.end(), set.data(), set.data() + set.size());
    numbers.insert(numbers.end(), static_cast<std::size_t>(set.shape(0)), i);
  }
  std::vector<std::uint64_t> levels;
  if (levels_argument) {
    for (const Int& level : *levels_argument) levels.push_back(to_uint64(level, "levels"));
  } else {
    levels.resize(sets.size());
    std::iota(levels.begin(), levels.end(), std::uint64_t{1});
  }
  const std::vector<std::vector<double>> surfaces = [&] {
    const py::gil_scoped_release release;
    return lts::attainment_surfaces(points, numbers, sets.size(), levels);
  }();
  std::vector<py::array_t<double>> found;
  for (const std::vector<double>& surface : surfaces) {
    py::array_t<double> array({static_cast<py::ssize_t>(surface.size() / 2), py::ssize_t{2}});
    std::copy(surface.begin(), surface.end(), array.mutable_data());
    found.push_back(array);
  }
  return found;
}

}  // namespace

void register_attainment(py::module_& m) {
  m.def("attainment_surfaces", &attainment_surfaces, py::arg("sets"), py::arg("levels") = py::none(),
        R"(Surfaces of the empirical attainment function of sets of points with two objectives, both minimized.

Parameters
----------
sets : sequence of array_like, each of shape (n, 2)
    The points of each run, in any order; dominated ones change nothing.
levels : sequence of int, optional
    By how many of the sets, at least, the points of a surface are attained: 1 is the best of all sets, ``len(sets)``
    what each of them attains, and the middle the median. By default all.

Returns
-------
list of ndarray of float64, each of shape (k, 2)
    The least points that so many sets dominate or equal, for each level, ascending in the first objective. Empty where
    fewer sets have points.

Raises
------
ValueError
    For a wrong shape, a value that is not a number, or a level out of range.

Notes
-----
Grunert da Fonseca, Fonseca and Hall 2001; by the sweep of Fonseca, Guerreiro, López-Ibáñez and Paquete 2011:
O(n log n + n len(sets)) for n points in all.

Examples
--------
>>> import lts
>>> [surface.tolist() for surface in lts.attainment_surfaces([[[1, 3], [3, 1]], [[2, 2]]])]
[[[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], [[2.0, 3.0], [3.0, 2.0]]])");
}
