#include "json_value.hpp"
#include "lts/error.hpp"
#include "lts/json.hpp"

namespace lts {

using detail::Document;
using detail::Json;
using detail::ObjectReader;
using detail::Where;
using detail::Writer;

namespace detail {

void write(Writer& out, const SearchSpaceOptions& options);
void read(const Json& json, const Where& where, SearchSpaceOptions& options);

// Static rather than in an unnamed namespace, so that the templates of json_value.hpp find them by their arguments.

constexpr std::uint64_t kSchema = 1;

// --- Writing ---

static void write(Writer& out, const Objective& o) {
  out.begin_object().field("name", o.name);
  out.field("direction", o.direction == Direction::minimize ? "minimize" : "maximize").end_object();
}

static void write(Writer& out, const Constraint& c) {
  out.begin_object().field("name", c.name);
  out.field("relation", c.relation == Constraint::Relation::at_most ? "at_most" : "at_least");
  out.field("bound", c.bound).end_object();
}

static void write(Writer& out, AlgorithmOptions options) {
  out.begin_object().field("name", algorithm_name(options));
  for (const AlgorithmOption& option : describe(options).options) {
    std::visit([&](const auto* value) { out.field(option.name, *value); }, option.value);
  }
  out.end_object();
}

static void write(Writer& out, const SearchOptions& options) {
  out.begin_object()
      .field("objectives", options.objectives)
      .field("constraints", options.constraints)
      .field("algorithm", options.algorithm)
      .field("seed", options.seed)
      .end_object();
}

static void write(Writer& out, const Evaluation& e) {
  out.begin_object()
      .field("id", e.id)
      .field("genotype", e.genotype)
      .field("values", e.values)
      .field("violation", e.violation)
      .end_object();
}

static void write(Writer& out, const AlgorithmState& state) {
  out.begin_object()
      .field("counter", state.counter)
      .field("queue", state.queue)
      .field("population", state.population)
      .field("offspring", state.offspring)
      .field("uses", state.uses)
      .end_object();
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
  if (!json.is_object()) where.refuse("an object with the name of an algorithm", json);
  if (!json.contains("name")) Where{.parent = &where, .name = "name"}.fail("is missing");
  std::string name;
  read(json["name"], Where{.parent = &where, .name = "name"}, name);
  out = algorithm_options(name);
  const AlgorithmDescription description = describe(out);
  std::vector<std::string_view> allowed{"name"};
  for (const AlgorithmOption& option : description.options) allowed.push_back(option.name);
  const ObjectReader object(json, where, allowed);
  for (const AlgorithmOption& option : description.options) {
    std::visit([&](auto* value) { object.optional(option.name, *value); }, option.value);
  }
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
  const Document document(text, "algorithm");
  read(document.root(), Where{.name = "algorithm"}, options);
  return options;
}

std::string to_json(const SearchState& state) {
  Writer out("search state");
  out.begin_object()
      .field("schema", detail::kSchema)
      .field("options", state.options)
      .field("space", state.space)
      .field("random", state.random)
      .field("next_id", state.next_id)
      .field("n_told", state.n_told)
      .field("n_failed", state.n_failed)
      .field("pending", state.pending)
      .field("seen", state.seen)
      .field("front", state.front)
      .field("algorithm", state.algorithm)
      .end_object();
  return out.take();
}

SearchState search_state_from_json(std::string_view text) {
  const Document document(text, "search state");
  const Where root{.name = "search state"};
  const ObjectReader object(document.root(), root,
                            {"schema", "options", "space", "random", "next_id", "n_told", "n_failed", "pending", "seen",
                             "front", "algorithm"});
  object.require_schema(detail::kSchema);
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
