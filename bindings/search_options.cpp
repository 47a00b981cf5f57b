#include "search_options.hpp"

#include <algorithm>
#include <limits>
#include <lts/error.hpp>

namespace lts::python {

namespace {

template <class T, class Parse>
T parsed(py::handle value, std::string_view what, Parse&& parse) {
  return py::isinstance<T>(value) ? value.cast<T>() : parse(text_of(value, what));
}

void assign(std::string_view name, py::handle value, double& out) { out = to_double(value, name); }
void assign(std::string_view name, py::handle value, std::uint32_t& out) {
  const std::int64_t number = to_int64(value, name);
  constexpr std::int64_t max = std::numeric_limits<std::uint32_t>::max();
  if (number < 0 || number > max) {
    throw_invalid({name, " is ", std::to_string(number), "; it must be from 0 to ", std::to_string(max)});
  }
  out = static_cast<std::uint32_t>(number);
}

}  // namespace

std::string text_of(py::handle value, std::string_view what) {
  if (py::isinstance<py::str>(value)) return value.cast<std::string>();
  throw py::type_error(std::string(what) + " must be text, not " +
                       std::string(py::str(py::type::handle_of(value).attr("__name__"))));
}

std::vector<Objective> to_objectives(const ObjectivesArgument& given) {
  std::vector<Objective> objectives;
  if (py::hasattr(given, "items")) {
    for (const py::handle item : given.attr("items")()) {
      const auto pair = py::reinterpret_borrow<py::sequence>(item);
      const std::string name = text_of(pair[0], "the name of an objective");
      objectives.push_back(parse_objective(name + ":" + text_of(pair[1], "the direction of " + name)));
    }
    return objectives;
  }
  if (!is_sequence(given)) throw py::type_error("objectives must be a dict or a sequence such as ['latency_ms:min']");
  for (const py::handle item : given) objectives.push_back(parsed<Objective>(item, "an objective", parse_objective));
  return objectives;
}

std::vector<Constraint> to_constraints(const ConstraintsArgument& given) {
  if (!is_sequence(given)) throw py::type_error("constraints must be a sequence such as ['peak_memory_mib<=512']");
  std::vector<Constraint> constraints;
  for (const py::handle item : given) {
    constraints.push_back(parsed<Constraint>(item, "a constraint", parse_constraint));
  }
  return constraints;
}

std::string joined(const std::vector<AlgorithmOption>& options) {
  std::string names;
  for (const AlgorithmOption& option : options) names.append(names.empty() ? "" : ", ").append(option.name);
  return names;
}

AlgorithmOptions to_algorithm(const std::string& algorithm, const AlgorithmArguments& given) {
  AlgorithmOptions options = algorithm_options(algorithm);
  const std::vector<AlgorithmOption> known = describe(options).options;
  for (const auto& [key, value] : given) {
    const auto name = key.cast<std::string>();
    const auto at = std::find_if(known.begin(), known.end(), [&](const AlgorithmOption& o) { return o.name == name; });
    if (at == known.end()) {
      const std::string names = joined(known);
      throw_invalid({"algorithm ", algorithm, " has no option '", name, "'",
                     names.empty() ? std::string("; it has none") : "; expected one of " + names});
    }
    std::visit([&, v = value](auto* member) { assign(name, v, *member); }, at->value);
  }
  return options;
}

py::typing::Dict<py::str, py::object> options_of(AlgorithmOptions options) {
  py::typing::Dict<py::str, py::object> dict;
  for (const AlgorithmOption& option : describe(options).options) {
    std::visit([&](const auto* value) { dict[py::str(option.name)] = *value; }, option.value);
  }
  return dict;
}

}  // namespace lts::python
