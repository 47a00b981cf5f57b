#include "json_value.hpp"
#include "lts/error.hpp"
#include "lts/json.hpp"

namespace lts {

using detail::Json;
using detail::ObjectReader;
using detail::Where;

namespace detail {

Json json_of(const SearchSpaceOptions& options);
void read(const Json& json, const Where& where, SearchSpaceOptions& options);

// Static rather than in an unnamed namespace, so that the templates of json_value.hpp find them by their arguments.

constexpr std::uint64_t kSchema = 1;

/// Calls `visit(name, member)` for every field of an algorithm's options.
template <class Options, class Visit>
static void visit_options(Options& o, Visit&& visit) {
  using Plain = std::remove_const_t<Options>;
  if constexpr (std::is_same_v<Plain, LtsEvolutionOptions>) {
    visit("population_size", o.population_size);
    visit("n_parents", o.n_parents);
    visit("n_mutants", o.n_mutants);
    visit("n_crossovers", o.n_crossovers);
    visit("mutation_probability", o.mutation_probability);
    visit("crossover_probability", o.crossover_probability);
  } else if constexpr (std::is_same_v<Plain, Nsga2Options>) {
    visit("population_size", o.population_size);
    visit("crossover_probability", o.crossover_probability);
    visit("mutation_probability", o.mutation_probability);
  } else if constexpr (std::is_same_v<Plain, LocalSearchOptions>) {
    visit("n_initial", o.n_initial);
  }
}

// --- Writing ---

static Json json_of(const AlgorithmOptions& options) {
  Json json;
  json["name"] = algorithm_name(options);
  const auto write = [&json](const char* name, auto value) {
    if constexpr (std::is_same_v<decltype(value), double>) finite(value, std::string("search state: ") + name);
    json[name] = value;
  };
  std::visit([&write](const auto& o) { visit_options(o, write); }, options);
  return json;
}

static Json json_of(const SearchOptions& options) {
  Json json;
  json["objectives"] = Json::array();
  for (const Objective& o : options.objectives) {
    Json item;
    item["name"] = o.name;
    item["direction"] = o.direction == Direction::minimize ? "minimize" : "maximize";
    json["objectives"].push_back(std::move(item));
  }
  json["constraints"] = Json::array();
  for (const Constraint& c : options.constraints) {
    Json item;
    item["name"] = c.name;
    item["relation"] = c.relation == Constraint::Relation::at_most ? "at_most" : "at_least";
    item["bound"] = finite(c.bound, "search state: bound of a constraint");
    json["constraints"].push_back(std::move(item));
  }
  json["algorithm"] = json_of(options.algorithm);
  json["seed"] = options.seed;
  return json;
}

static Json json_of(const std::vector<Evaluation>& evaluations) {
  Json list = Json::array();
  for (const Evaluation& e : evaluations) {
    Json item;
    item["id"] = e.id;
    item["genotype"] = e.genotype;
    for (const double value : e.values) finite(value, "search state: a value");
    item["values"] = e.values;
    item["violation"] = finite(e.violation, "search state: a violation");
    list.push_back(std::move(item));
  }
  return list;
}

static Json json_of(const AlgorithmState& state) {
  Json json;
  json["counter"] = state.counter;
  json["queue"] = state.queue;
  json["population"] = json_of(state.population);
  json["offspring"] = json_of(state.offspring);
  json["uses"] = state.uses;
  return json;
}

// --- Reading ---

/// One of two words.
template <class Enum>
static void read_word(const Json& json, const Where& where, std::string_view first, std::string_view second,
                      Enum& out) {
  if (json == first) {
    out = static_cast<Enum>(0);
  } else if (json == second) {
    out = static_cast<Enum>(1);
  } else {
    where.refuse(std::string(first) + " or " + std::string(second), json);
  }
}

static void read(const Json& json, const Where& where, Objective& out) {
  const ObjectReader object(json, where, {"name", "direction"});
  object.required("name", out.name);
  read_word(object.require("direction"), object.at("direction"), "minimize", "maximize", out.direction);
}

static void read(const Json& json, const Where& where, Constraint& out) {
  const ObjectReader object(json, where, {"name", "relation", "bound"});
  object.required("name", out.name);
  read_word(object.require("relation"), object.at("relation"), "at_most", "at_least", out.relation);
  object.required("bound", out.bound);
}

static void read(const Json& json, const Where& where, AlgorithmOptions& out) {
  if (!json.is_object() || !json.contains("name")) where.refuse("an object with the name of an algorithm", json);
  std::string name;
  read(json["name"], Where{.parent = &where, .name = "name"}, name);
  out = algorithm_options(name);
  std::visit(
      [&](auto& options) {
        std::vector<std::string_view> allowed{"name"};
        visit_options(options, [&allowed](const char* field, auto&) { allowed.emplace_back(field); });
        const ObjectReader object(json, where, allowed);
        visit_options(options, [&object](const char* field, auto& value) { object.optional(field, value); });
      },
      out);
}

static void read(const Json& json, const Where& where, SearchOptions& out) {
  const ObjectReader object(json, where, {"objectives", "constraints", "algorithm", "seed"});
  object.required("objectives", out.objectives);
  object.optional("constraints", out.constraints);
  object.required("algorithm", out.algorithm);
  object.optional("seed", out.seed);
}

static void read(const Json& json, const Where& where, Evaluation& out) {
  const ObjectReader object(json, where, {"id", "genotype", "values", "violation"});
  object.required("id", out.id);
  object.required("genotype", out.genotype);
  object.required("values", out.values);
  object.optional("violation", out.violation);
}

static void read(const Json& json, const Where& where, AlgorithmState& out) {
  const ObjectReader object(json, where, {"counter", "queue", "population", "offspring", "uses"});
  object.optional("counter", out.counter);
  object.optional("queue", out.queue);
  object.optional("population", out.population);
  object.optional("offspring", out.offspring);
  object.optional("uses", out.uses);
}

}  // namespace detail

AlgorithmOptions algorithm_options_from_json(std::string_view text) {
  AlgorithmOptions options;
  read(detail::parse_json(text, "algorithm"), Where{.name = "algorithm"}, options);
  return options;
}

std::string to_json(const SearchState& state) {
  Json json;
  json["schema"] = detail::kSchema;
  json["options"] = detail::json_of(state.options);
  json["space"] = detail::json_of(state.space);
  json["random"] = state.random;
  json["next_id"] = state.next_id;
  json["n_told"] = state.n_told;
  json["n_failed"] = state.n_failed;
  json["pending"] = state.pending;
  json["seen"] = state.seen;
  json["front"] = detail::json_of(state.front);
  json["algorithm"] = detail::json_of(state.algorithm);
  return detail::dump_json(json, "search state");
}

SearchState search_state_from_json(std::string_view text) {
  const Json json = detail::parse_json(text, "search state");
  const Where root{.name = "search state"};
  const ObjectReader object(json, root,
                            {"schema", "options", "space", "random", "next_id", "n_told", "n_failed", "pending", "seen",
                             "front", "algorithm"});
  std::uint64_t schema = 0;
  object.required("schema", schema);
  if (schema != detail::kSchema) {
    object.at("schema").fail("is " + std::to_string(schema) + "; this version reads " +
                             std::to_string(detail::kSchema));
  }
  SearchState state;
  object.required("options", state.options);
  object.required("space", state.space);
  object.required("random", state.random);
  object.required("next_id", state.next_id);
  object.required("n_told", state.n_told);
  object.required("n_failed", state.n_failed);
  object.required("pending", state.pending);
  object.required("seen", state.seen);
  object.required("front", state.front);
  object.required("algorithm", state.algorithm);
  return state;
}

}  // namespace lts
