#include "convert.hpp"

#include <algorithm>

namespace lts::python {

namespace {

std::string type_of(py::handle value) { return py::str(py::type::handle_of(value).attr("__name__")); }

[[noreturn]] void wrong_type(std::string_view name, std::string_view expected, py::handle value) {
  throw py::type_error(std::string(name) + " must be " + std::string(expected) + ", not " + type_of(value));
}

bool is_bool(py::handle value) {
  if (PyBool_Check(value.ptr()) != 0) return true;
  const std::string_view type = Py_TYPE(value.ptr())->tp_name;
  return type == "numpy.bool" || type == "numpy.bool_";
}

[[noreturn]] void out_of_range(std::string_view name, std::string_view range) {
  throw py::value_error(std::string(name) + " is out of range; it must be " + std::string(range));
}

template <class Convert>
auto each(py::handle values, std::string_view name, std::string_view expected, Convert&& convert) {
  if (!is_sequence(values)) wrong_type(name, expected, values);
  std::vector<decltype(convert(values, std::string_view()))> result;
  const auto sequence = py::reinterpret_borrow<py::sequence>(values);
  const std::size_t size = sequence.size();
  for (std::size_t i = 0; i < size; ++i) {
    result.push_back(convert(py::object(sequence[i]), std::string(name) + "[" + std::to_string(i) + "]"));
  }
  return result;
}

// Python limits conversions between int and decimal text to a few thousand digits, so longer numbers go in pieces.
constexpr std::size_t kDigitsPerPiece = 600;

py::object power_of_ten(std::size_t exponent) {
  return py::reinterpret_steal<py::object>(PyNumber_Power(py::int_(10).ptr(), py::int_(exponent).ptr(), Py_None));
}

}  // namespace

py::int_ to_int(py::handle value, std::string_view name) {
  if (!is_bool(value) && PyIndex_Check(value.ptr()) != 0) {
    if (PyObject* index = PyNumber_Index(value.ptr())) return py::reinterpret_steal<py::int_>(index);
    PyErr_Clear();
  }
  wrong_type(name, "an integer", value);
}

std::int64_t to_int64(py::handle value, std::string_view name) {
  int overflow = 0;
  const long long result = PyLong_AsLongLongAndOverflow(to_int(value, name).ptr(), &overflow);
  if (overflow != 0) out_of_range(name, "a 64-bit integer");
  return result;
}

std::uint64_t to_uint64(py::handle value, std::string_view name) {
  const unsigned long long result = PyLong_AsUnsignedLongLong(to_int(value, name).ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    out_of_range(name, "from 0 to 18446744073709551615");
  }
  return result;
}

double to_double(py::handle value, std::string_view name) {
  const double result = is_bool(value) ? -1.0 : PyFloat_AsDouble(value.ptr());
  if (is_bool(value) || (result == -1.0 && PyErr_Occurred() != nullptr)) {
    const bool overflow = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
    PyErr_Clear();
    if (overflow) out_of_range(name, "a finite 64-bit number");
    wrong_type(name, "a number", value);
  }
  return result;
}

bool is_sequence(py::handle value) {
  if (PySequence_Check(value.ptr()) == 0 || PyUnicode_Check(value.ptr()) != 0 || PyBytes_Check(value.ptr()) != 0) {
    return false;
  }
  if (PySequence_Size(value.ptr()) >= 0) return true;
  PyErr_Clear();  // an array without dimensions
  return false;
}

std::vector<std::int64_t> to_int64s(py::handle values, std::string_view name) {
  return each(values, name, "a sequence of integers", to_int64);
}

std::vector<bool> to_bools(py::handle values, std::string_view name) {
  return each(values, name, "a sequence of bools", [](py::handle value, std::string_view at) {
    if (!is_bool(value)) wrong_type(at, "True or False", value);
    return PyObject_IsTrue(value.ptr()) == 1;
  });
}

py::int_ int_from_decimal(std::string_view digits) {
  py::object result = py::int_(0);
  while (!digits.empty()) {
    const std::string piece(digits.substr(0, kDigitsPerPiece));
    digits.remove_prefix(piece.size());
    const auto value = py::reinterpret_steal<py::object>(PyLong_FromString(piece.c_str(), nullptr, 10));
    result = result * power_of_ten(piece.size()) + value;
  }
  return result;
}

std::string decimal_of(const py::int_& value) {
  py::object rest = value;
  const py::object base = power_of_ten(kDigitsPerPiece);
  std::string reversed;
  while (rest >= base) {
    const auto parts = py::reinterpret_steal<py::tuple>(PyNumber_Divmod(rest.ptr(), base.ptr()));
    std::string piece = py::str(py::object(parts[1]));
    std::reverse(piece.begin(), piece.end());
    piece.resize(kDigitsPerPiece, '0');
    reversed += piece;
    rest = parts[0];
  }
  std::string last = py::str(rest);
  std::reverse(last.begin(), last.end());
  reversed += last;
  std::reverse(reversed.begin(), reversed.end());
  return reversed;
}

}  // namespace lts::python
