#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "convert.hpp"

// Arguments that are points, converted to contiguous float64. A wrong argument is a py::value_error with one sentence
// that says what it is and what it should be.
namespace lts::python {

using ArrayLike = Argument<"numpy.typing.ArrayLike">;
using OptionalArrayLike = Argument<"numpy.typing.ArrayLike | None">;
using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

/// Points as rows, (n, m) with any n and an m of at least 1.
Doubles to_points(py::handle value, const char* name = "points");

/// Rows of m or m + 1 numbers, (n, m) or (n, m + 1) with any n.
Doubles to_rows(py::handle value, const char* name, std::size_t m);

/// Points of m coordinates as rows, (n, m), or one of them, (m,).
Doubles to_point_or_points(py::handle value, std::size_t m);

/// One point, (m,).
Doubles to_point(py::handle value, const char* name, std::size_t m);

/// n integers from 0, (n,).
std::vector<std::uint64_t> to_ids(py::handle value, std::size_t n);

inline std::span<const double> span_of(const Doubles& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

}  // namespace lts::python
