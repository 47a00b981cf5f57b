#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Arguments that are converted here rather than by pybind11, so that an error names the argument: bool and float are
// refused as integers, NumPy's integers are accepted, and a number out of range is a ValueError.
namespace lts::python {

namespace py = pybind11;

template <std::size_t N>
struct Text {
  char value[N];
  consteval Text(const char (&text)[N]) {  // NOLINT(google-explicit-constructor)
    for (std::size_t i = 0; i < N; ++i) value[i] = text[i];
  }
};

/// Any object; signatures show it as `type`.
template <Text type>
class Argument : public py::object {
 public:
  using py::object::object;
  static bool check_(py::handle h) { return h.ptr() != nullptr; }
};

using Int = Argument<"typing.SupportsIndex">;
using OptionalInt = Argument<"typing.SupportsIndex | None">;
using Ints = Argument<"collections.abc.Sequence[typing.SupportsIndex]">;
using IntOrInts = Argument<"typing.SupportsIndex | collections.abc.Sequence[typing.SupportsIndex]">;
using OptionalIntOrInts = Argument<"typing.SupportsIndex | collections.abc.Sequence[typing.SupportsIndex] | None">;
using Mixers = Argument<"str | collections.abc.Sequence[str]">;
using Bools = Argument<"collections.abc.Sequence[bool]">;

/// @throws py::type_error for anything but an integer, py::value_error for one beyond 64 bits; both name the argument.
py::int_ to_int(py::handle value, std::string_view name);
std::int64_t to_int64(py::handle value, std::string_view name);
std::uint64_t to_uint64(py::handle value, std::string_view name);
double to_double(py::handle value, std::string_view name);
std::vector<std::int64_t> to_int64s(py::handle values, std::string_view name);
std::vector<bool> to_bools(py::handle values, std::string_view name);

/// Whether the object is a sequence of values: a list, a tuple, a range, an array, but not text.
bool is_sequence(py::handle value);

/// A Python integer of any length, not negative, from and to its decimal digits.
py::int_ int_from_decimal(std::string_view digits);
std::string decimal_of(const py::int_& value);

}  // namespace lts::python

template <lts::python::Text type>
struct pybind11::detail::handle_type_name<lts::python::Argument<type>> {
  static constexpr auto name = const_name(type.value);
};
