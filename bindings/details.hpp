#pragma once

#include <pybind11/pybind11.h>

#include <lts/architecture.hpp>
#include <optional>

#include "convert.hpp"

// The details of an architecture, which spaces have as well.
namespace lts::python {

using OptionalFloat = Argument<"typing.SupportsFloat | None">;
using Scaling = Argument<"collections.abc.Mapping[str, typing.SupportsFloat] | None">;

/// @throws py::type_error and py::value_error naming the argument.
Details to_details(const OptionalFloat& rotary_theta, const OptionalFloat& norm_epsilon, const Int& rotary_dim,
                   const Scaling& rotary_scaling, std::optional<bool> qkv_bias,
                   std::optional<bool> attention_output_bias, std::optional<bool> feed_forward_bias);

/// A dictionary by the names of the members; None without.
py::object scaling_of(const Details& details);

/// The arguments that give these details, without those that say nothing.
py::dict arguments_of(const Details& details);

}  // namespace lts::python
