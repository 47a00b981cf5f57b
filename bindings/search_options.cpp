#include "search_options.hpp"

#include <limits>
#include <lts/error.hpp>

namespace lts::python {

namespace {

template <class T, class Parse>
T parsed(py::handle value, std::string_view what, Parse&& parse) {
  return py::isinstance<T>(value) ? value.cast<T>() : parse(text_of(value, what));
}

/// Calls `visit(name, member)` for every option of the algorithm.
template <class Visit>
void visit_options(AlgorithmOptions& options, Visit&& visit) {
  if (auto* lts_evolution = std::get_if<LtsEvolutionOptions>(&options)) {
    visit("population_size", lts_evolution->population_size);
    visit("n_parents", lts_evolution->n_parents);
    visit("n_mutants", lts_evolution->n_mutants);
    visit("n_crossovers", lts_evolution->n_crossovers);
    visit("mutation_probability", lts_evolution->mutation_probability);
    visit("crossover_probability", lts_evolution->crossover_probability);
  } else if (auto* nsga2 = std::get_if<Nsga2Options>(&options)) {
    visit("population_size", nsga2->population_size);
    visit("crossover_probability", nsga2->crossover_probability);
    visit("mutation_probability", nsga2->mutation_probability);
  } else if (auto* local = std::get_if<LocalSearchOptions>(&options)) {
    visit("n_initial", local->n_initial);
  }
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

AlgorithmOptions to_algorithm(const std::string& algorithm, const AlgorithmArguments& given) {
  AlgorithmOptions options = algorithm_options(algorithm);
  for (const auto& [key, value] : given) {
    const auto name = key.cast<std::string>();
    bool known = false;
    std::string allowed;
    visit_options(options, [&, v = value](std::string_view option, auto& member) {
      allowed.append(allowed.empty() ? "" : ", ").append(option);
      if (option != name) return;
      assign(option, v, member);
      known = true;
    });
    if (known) continue;
    throw_invalid({"algorithm ", algorithm, " has no option '", name, "'",
                   allowed.empty() ? std::string("; it has none") : "; expected one of " + allowed});
  }
  return options;
}

py::typing::Dict<py::str, py::object> options_of(AlgorithmOptions options) {
  py::typing::Dict<py::str, py::object> dict;
  visit_options(options, [&dict](const char* name, auto& member) { dict[name] = member; });
  return dict;
}

}  // namespace lts::python
