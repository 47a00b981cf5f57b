#include "arrays.hpp"

#include <string>

namespace lts::python {

namespace {

/// The value as an array of one of the kinds of dtype; any dtype when it is empty.
py::array to_array(py::handle value, const std::string& name, std::string_view kinds, const std::string& expected) {
  const auto array = [&]() -> py::object {
    try {
      return py::module_::import("numpy").attr("asarray")(value);
    } catch (const py::error_already_set& error) {
      if (!error.matches(PyExc_ValueError) && !error.matches(PyExc_TypeError)) throw;
    }
    throw py::value_error(name + " cannot be made an array; expected " + expected);
  }();
  auto result = py::reinterpret_borrow<py::array>(array);
  if (result.size() > 0 && kinds.find(result.dtype().kind()) == std::string_view::npos) {
    throw py::value_error(name + " has dtype " + std::string(py::str(result.dtype())) + "; expected " + expected);
  }
  return result;
}

void check_shape(bool is_right, const py::array& array, const std::string& name, const std::string& expected) {
  if (is_right) return;
  const std::string shape = py::str(array.attr("shape"));
  throw py::value_error(name + " has shape " + shape + "; expected " + expected);
}

bool last_is(const py::array& array, std::size_t m) {
  return array.ndim() > 0 && static_cast<std::size_t>(array.shape(array.ndim() - 1)) == m;
}

constexpr std::string_view kNumbers = "iuf";

}  // namespace

Doubles to_points(py::handle value, const char* name) {
  const std::string expected = "numbers of shape (n, m): n points of m objectives, m at least 1";
  const py::array array = to_array(value, name, kNumbers, expected);
  check_shape(array.ndim() == 2 && !last_is(array, 0), array, name, expected);
  return Doubles(array);
}

Doubles to_rows(py::handle value, const char* name, std::size_t m) {
  const std::string expected = "numbers of shape (n, " + std::to_string(m) + ") or (n, " + std::to_string(m + 1) + ")";
  const py::array array = to_array(value, name, kNumbers, expected);
  check_shape(array.ndim() == 2 && (last_is(array, m) || last_is(array, m + 1)), array, name, expected);
  return Doubles(array);
}

Doubles to_point_or_points(py::handle value, std::size_t m) {
  const std::string digits = std::to_string(m);
  const std::string expected = "numbers of shape (n, " + digits + ") or (" + digits + ",), one for each objective";
  const py::array array = to_array(value, "points", kNumbers, expected);
  check_shape((array.ndim() == 1 || array.ndim() == 2) && last_is(array, m), array, "points", expected);
  return Doubles(array);
}

Doubles to_point(py::handle value, const char* name, std::size_t m) {
  const std::string expected = "numbers of shape (" + std::to_string(m) + ",), one for each objective";
  const py::array array = to_array(value, name, kNumbers, expected);
  check_shape(array.ndim() == 1 && last_is(array, m), array, name, expected);
  return Doubles(array);
}

std::vector<std::uint64_t> to_ids(py::handle value, std::size_t n) {
  const std::string expected = "integers from 0 of shape (" + std::to_string(n) + ",), one for each point";
  const py::array array = to_array(value, "ids", "iu", expected);
  const bool is_single = array.ndim() == 0 && n == 1;
  check_shape(is_single || (array.ndim() == 1 && last_is(array, n)), array, "ids", expected);
  if (n > 0 && array.attr("min")().attr("__lt__")(0).cast<bool>()) {
    throw py::value_error("ids has a number below 0; expected " + expected);
  }
  const auto ids = py::array_t<std::uint64_t, py::array::c_style | py::array::forcecast>(array);
  return {ids.data(), ids.data() + n};
}

}  // namespace lts::python
