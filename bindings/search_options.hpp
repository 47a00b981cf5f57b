#pragma once

#include <lts/search.hpp>
#include <string>
#include <vector>

#include "convert.hpp"

namespace lts::python {

using ObjectivesArgument =
    Argument<"collections.abc.Mapping[str, str] | collections.abc.Sequence[str | lts._core.Objective]">;
using ConstraintsArgument = Argument<"collections.abc.Sequence[str | lts._core.Constraint]">;
using AlgorithmArguments = py::KWArgs<py::float_>;

/// Text, whatever is asked for. @throws py::type_error naming `what` for anything else.
std::string text_of(py::handle value, std::string_view what);

std::vector<Objective> to_objectives(const ObjectivesArgument& given);
std::vector<Constraint> to_constraints(const ConstraintsArgument& given);

/// The names of the options, between commas.
std::string joined(const std::vector<AlgorithmOption>& options);

/// The options of an algorithm by name. @throws std::invalid_argument for an unknown one, listing the known.
AlgorithmOptions to_algorithm(const std::string& algorithm, const AlgorithmArguments& given);
py::typing::Dict<py::str, py::object> options_of(AlgorithmOptions options);

}  // namespace lts::python
