#include "details.hpp"

#include <pybind11/stl.h>

#include <array>
#include <string>

namespace lts::python {

namespace {

using namespace py::literals;

constexpr std::array<const char*, 4> kScaling{"factor", "low_freq_factor", "high_freq_factor", "original_positions"};

RotaryScaling to_scaling(py::handle given) {
  const std::string expected =
      "rotary_scaling must be a mapping with factor, low_freq_factor, high_freq_factor and original_positions";
  if (PyMapping_Check(given.ptr()) == 0 || is_sequence(given)) throw py::type_error(expected);
  const py::object mapping = py::reinterpret_borrow<py::object>(given);
  if (py::len(mapping) != kScaling.size()) throw py::value_error(expected);
  for (const char* const name : kScaling) {
    if (!mapping.contains(name)) throw py::value_error(expected);
  }
  const auto number = [&mapping](const char* name) {
    return to_double(py::object(mapping[name]), std::string(name) + " of rotary_scaling");
  };
  return {.factor = number("factor"),
          .low_freq_factor = number("low_freq_factor"),
          .high_freq_factor = number("high_freq_factor"),
          .original_positions =
              to_int64(py::object(mapping["original_positions"]), "original_positions of rotary_scaling")};
}

}  // namespace

Details to_details(const OptionalFloat& rotary_theta, const OptionalFloat& norm_epsilon, const Int& rotary_dim,
                   const Scaling& rotary_scaling, std::optional<bool> qkv_bias,
                   std::optional<bool> attention_output_bias, std::optional<bool> feed_forward_bias) {
  Details details{.rotary_dim = to_int64(rotary_dim, "rotary_dim"),
                  .qkv_bias = qkv_bias,
                  .attention_output_bias = attention_output_bias,
                  .feed_forward_bias = feed_forward_bias};
  if (!rotary_theta.is_none()) details.rotary_theta = to_double(rotary_theta, "rotary_theta");
  if (!norm_epsilon.is_none()) details.norm_epsilon = to_double(norm_epsilon, "norm_epsilon");
  if (!rotary_scaling.is_none()) details.rotary_scaling = to_scaling(rotary_scaling);
  return details;
}

py::object scaling_of(const Details& details) {
  if (!details.rotary_scaling) return py::none();
  const RotaryScaling& s = *details.rotary_scaling;
  return py::dict("factor"_a = s.factor, "low_freq_factor"_a = s.low_freq_factor,
                  "high_freq_factor"_a = s.high_freq_factor, "original_positions"_a = s.original_positions);
}

py::dict arguments_of(const Details& details) {
  py::dict arguments;
  const auto given = [&arguments](const char* name, const auto& value) {
    if (value) arguments[name] = *value;
  };
  given("rotary_theta", details.rotary_theta);
  given("norm_epsilon", details.norm_epsilon);
  if (details.rotary_dim != 0) arguments["rotary_dim"] = details.rotary_dim;
  if (details.rotary_scaling) arguments["rotary_scaling"] = scaling_of(details);
  given("qkv_bias", details.qkv_bias);
  given("attention_output_bias", details.attention_output_bias);
  given("feed_forward_bias", details.feed_forward_bias);
  return arguments;
}

}  // namespace lts::python
