#include "lts/json.hpp"

#include <algorithm>

#include "json_value.hpp"
#include "lts/error.hpp"

namespace lts {

using detail::Document;
using detail::Json;
using detail::ObjectReader;
using detail::Where;
using detail::Writer;

namespace detail {

static void write(Writer& out, const RotaryScaling& s) {
  out.begin_object()
      .field("factor", s.factor)
      .field("low_freq_factor", s.low_freq_factor)
      .field("high_freq_factor", s.high_freq_factor)
      .field("original_positions", s.original_positions)
      .end_object();
}

static void read(const Json& json, const Where& where, RotaryScaling& s) {
  const ObjectReader object(json, where, {"factor", "low_freq_factor", "high_freq_factor", "original_positions"});
  object.required("factor", s.factor);
  object.required("low_freq_factor", s.low_freq_factor);
  object.required("high_freq_factor", s.high_freq_factor);
  object.required("original_positions", s.original_positions);
}

}  // namespace detail

namespace {

/// One dimension of the layers: a number for all, or an array of one each.
struct PerLayer {
  std::string_view name;
  std::vector<std::int64_t> values;
  bool scalar = false;

  PerLayer(std::string_view key, std::int64_t value) : name(key), values{value}, scalar(true) {}
  PerLayer(const ObjectReader& object, std::string_view key) : name(key) {
    const Json& json = object.require(key);
    const Where where = object.at(key);
    scalar = json.is_number();
    if (scalar) {
      values = {detail::read_integer(json, where)};
    } else if (json.is_array()) {
      read(json, where, values);
    } else {
      where.refuse("an integer or an array of integers", json);
    }
  }
  [[nodiscard]] std::int64_t at(std::size_t layer) const { return scalar ? values[0] : values[layer]; }
};

/// Mixers by their number.
PerLayer mixers_of(const ObjectReader& object) {
  const Json* json = object.find("mixer");
  PerLayer found("mixer", 0);
  if (json == nullptr) return found;
  std::vector<std::string> names;
  const Where where = object.at("mixer");
  found.scalar = json->is_string();
  if (found.scalar) {
    read(*json, where, names.emplace_back());
  } else {
    read(*json, where, names);
  }
  found.values.clear();
  for (const std::string& name : names) found.values.push_back(static_cast<std::int64_t>(mixer(name)));
  return found;
}

constexpr std::array<std::string_view, 7> kDetails{"rotary_theta",     "norm_epsilon", "rotary_dim",
                                                   "rotary_scaling",   "qkv_bias",     "attention_output_bias",
                                                   "feed_forward_bias"};

/// `names` and those of the details.
template <std::size_t n>
constexpr auto with_details(const std::array<std::string_view, n>& names) {
  std::array<std::string_view, n + kDetails.size()> all{};
  std::copy(names.begin(), names.end(), all.begin());
  std::copy(kDetails.begin(), kDetails.end(), all.begin() + n);
  return all;
}

void read_details(const ObjectReader& object, Details& details) {
  object.optional("rotary_theta", details.rotary_theta);
  object.optional("norm_epsilon", details.norm_epsilon);
  object.optional("rotary_dim", details.rotary_dim);
  object.optional("rotary_scaling", details.rotary_scaling);
  object.optional("qkv_bias", details.qkv_bias);
  object.optional("attention_output_bias", details.attention_output_bias);
  object.optional("feed_forward_bias", details.feed_forward_bias);
}

/// What is as the family has it is left out.
void write_details(Writer& out, const Details& details) {
  const auto given = [&out](std::string_view name, const auto& value) {
    if (value) out.field(name, *value);
  };
  given("rotary_theta", details.rotary_theta);
  given("norm_epsilon", details.norm_epsilon);
  if (details.rotary_dim != 0) out.field("rotary_dim", details.rotary_dim);
  given("rotary_scaling", details.rotary_scaling);
  given("qkv_bias", details.qkv_bias);
  given("attention_output_bias", details.attention_output_bias);
  given("feed_forward_bias", details.feed_forward_bias);
}

/// The number of layers that `n_layer` and the arrays agree on.
std::size_t depth_of(const ObjectReader& object, std::initializer_list<const PerLayer*> dimensions) {
  std::optional<std::int64_t> depth;
  std::string_view source = "n_layer";
  object.optional("n_layer", depth);
  if (depth && (*depth < 1 || *depth > max_layers)) {
    object.at("n_layer").fail("is " + std::to_string(*depth) + "; it must be from 1 to " + std::to_string(max_layers));
  }
  for (const PerLayer* p : dimensions) {
    if (p->scalar) continue;
    const auto size = static_cast<std::int64_t>(p->values.size());
    if (depth && *depth != size) {
      object.at(p->name).fail("has " + std::to_string(size) + " entries, but " + std::string(source) +
                              (source == "n_layer" ? " is " : " has ") + std::to_string(*depth) +
                              "; there must be one per layer");
    }
    if (!depth) source = p->name;
    depth = size;
  }
  if (!depth) {
    object.at("n_layer").fail("is missing; it is needed when n_head, n_kv_head and d_ff are single numbers");
  }
  return static_cast<std::size_t>(*depth);
}

template <class Get>
void write_layers(Writer& out, std::string_view name, const Architecture& a, Get&& get) {
  out.key(name).begin_array();
  for (const Layer& layer : a.layers) out.value(get(layer));
  out.end_array();
}

}  // namespace

namespace detail {

static void write(Writer& out, const Bounds& bounds) {
  out.begin_object().field("min", bounds.min).field("max", bounds.max).end_object();
}

static void write(Writer& out, const Heads& heads) {
  out.begin_array().value(heads.n_head).value(heads.n_kv_head).end_array();
}

/// One truth value where all are the same.
static void write(Writer& out, const Biases& b) {
  if (b.qkv == b.attention_output && b.qkv == b.feed_forward) {
    out.value(b.qkv);
  } else {
    out.begin_array().value(b.qkv).value(b.attention_output).value(b.feed_forward).end_array();
  }
}

static void read(const Json& json, const Where& where, Biases& out) {
  std::array<bool, 3> parts{};
  if (json.is_boolean()) {
    parts.fill(json.get<bool>());
  } else if (json.is_array()) {
    read(json, where, parts);
  } else {
    where.refuse("true, false or an array of three of them", json);
  }
  out = {.qkv = parts[0], .attention_output = parts[1], .feed_forward = parts[2]};
}

static void read(const Json& json, const Where& where, Heads& out) {
  std::array<std::int64_t, 2> pair{};
  read(json, where, pair);
  out = {pair[0], pair[1]};
}

void write(Writer& out, const SearchSpaceOptions& o) {
  out.begin_object()
      .field("name", o.name)
      .field("family", o.family)
      .field("vocab_size", o.vocab_size)
      .field("n_positions", o.n_positions)
      .key("head_dim");
  if (o.head_dim_choices.empty()) {
    out.value(o.head_dim);
  } else {
    out.value(o.head_dim_choices);
  }
  out.field("cutoffs", o.cutoffs)
      .field("tie_projs", o.tie_projs)
      .field("tie_embedding", o.tie_embedding)
      .field("n_layer", o.n_layer)
      .field("d_model", o.d_model);
  if (o.heads.empty()) {
    out.field("n_head", o.n_head).field("n_kv_head", o.n_kv_head);
  } else {
    out.field("heads", o.heads);
  }
  if (o.d_ff_ratio.empty()) {
    out.field("d_ff", o.d_ff);
  } else {
    out.field("d_ff_ratio", o.d_ff_ratio);
  }
  if (!o.bias.empty()) out.field("bias", o.bias);
  out.field("d_embed", o.d_embed)
      .field("div_val", o.div_val)
      .field("shared_n_head", o.shared_n_head)
      .field("shared_n_kv_head", o.shared_n_kv_head)
      .field("shared_d_ff", o.shared_d_ff)
      .field("min_ff_ratio", o.min_ff_ratio);
  // Spaces without these rules are written as they were before there were any.
  if (o.max_ff_ratio) out.field("max_ff_ratio", o.max_ff_ratio);
  if (!o.head_dims.empty()) out.field("head_dims", o.head_dims);
  write_details(out, o.details);
  out.field("decoder_params", o.decoder_params).field("total_params", o.total_params).end_object();
}

void read(const Json& json, const Where& where, SearchSpaceOptions& o) {
  constexpr auto allowed = with_details(std::to_array<std::string_view>(
      {"name",         "family",        "vocab_size", "n_positions",    "head_dim",         "cutoffs",
       "tie_projs",    "tie_embedding", "n_layer",    "d_model",        "n_head",           "n_kv_head",
       "d_ff",         "d_embed",       "div_val",    "shared_n_head",  "shared_n_kv_head", "shared_d_ff",
       "min_ff_ratio", "max_ff_ratio",  "head_dims",  "decoder_params", "total_params",     "heads",
       "d_ff_ratio",   "bias"}));
  const ObjectReader object(json, where, allowed);
  object.optional("name", o.name);
  object.optional("family", o.family);
  object.optional("vocab_size", o.vocab_size);
  object.optional("n_positions", o.n_positions);
  if (const Json* head_dim = object.find("head_dim"); head_dim != nullptr && head_dim->is_array()) {
    read(*head_dim, object.at("head_dim"), o.head_dim_choices);
    if (o.head_dim_choices.empty()) object.at("head_dim").fail("has no choices; give at least one");
  } else {
    object.optional("head_dim", o.head_dim);
  }
  object.optional("cutoffs", o.cutoffs);
  object.optional("tie_projs", o.tie_projs);
  object.optional("tie_embedding", o.tie_embedding);
  object.required("n_layer", o.n_layer);
  object.required("d_model", o.d_model);
  object.optional("heads", o.heads);
  if (o.heads.empty()) {
    object.required("n_head", o.n_head);
  } else {
    object.optional("n_head", o.n_head);  // refused by the space
  }
  object.optional("n_kv_head", o.n_kv_head);
  object.optional("d_ff_ratio", o.d_ff_ratio);
  if (o.d_ff_ratio.empty()) {
    object.required("d_ff", o.d_ff);
  } else {
    object.optional("d_ff", o.d_ff);  // refused by the space
  }
  object.optional("bias", o.bias);
  object.optional("d_embed", o.d_embed);
  object.optional("div_val", o.div_val);
  object.optional("shared_n_head", o.shared_n_head);
  object.optional("shared_n_kv_head", o.shared_n_kv_head);
  object.optional("shared_d_ff", o.shared_d_ff);
  object.optional("min_ff_ratio", o.min_ff_ratio);
  object.optional("max_ff_ratio", o.max_ff_ratio);
  object.optional("head_dims", o.head_dims);
  object.optional("decoder_params", o.decoder_params);
  object.optional("total_params", o.total_params);
  read_details(object, o.details);
}

}  // namespace detail

std::string to_json(const Architecture& a) {
  if (a.family == nullptr) throw_invalid({"architecture: family is not set"});
  Writer out("architecture");
  out.begin_object()
      .field("family", a.family->name)
      .field("vocab_size", a.vocab_size)
      .field("n_positions", a.n_positions)
      .field("d_model", a.d_model)
      .field("n_layer", a.n_layer());
  write_layers(out, "n_head", a, [](const Layer& layer) { return layer.n_head; });
  write_layers(out, "n_kv_head", a, [](const Layer& layer) { return layer.n_kv_head; });
  write_layers(out, "d_ff", a, [](const Layer& layer) { return layer.d_ff; });
  if (a.family->mixed) {
    write_layers(out, "mixer", a, [](const Layer& layer) { return mixer_name(layer.mixer); });
    write_layers(out, "n_ff", a, [](const Layer& layer) { return layer.n_ff; });
  }
  out.field("head_dim", a.head_dim)
      .field("d_embed", a.d_embed)
      .field("div_val", a.div_val)
      .field("cutoffs", a.cutoffs)
      .field("tie_projs", a.tie_projs)
      .field("tie_embedding", a.tie_embedding);
  write_details(out, differences(a.details, *a.family));
  out.end_object();
  return out.take();
}

std::string to_json(const SearchSpaceOptions& options) {
  Writer out("search space");
  write(out, options);
  return out.take();
}

Architecture architecture_from_json(std::string_view text) {
  const Document document(text, "architecture");
  const Where root{.name = "architecture"};
  constexpr auto allowed = with_details(std::to_array<std::string_view>(
      {"family", "vocab_size", "n_positions", "d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "mixer", "n_ff",
       "head_dim", "d_embed", "div_val", "cutoffs", "tie_projs", "tie_embedding"}));
  const ObjectReader object(document.root(), root, allowed);
  Architecture a;
  std::string name;
  object.required("family", name);
  a.family = &family(name);
  object.required("vocab_size", a.vocab_size);
  object.required("n_positions", a.n_positions);
  object.required("d_model", a.d_model);
  const PerLayer n_head(object, "n_head");
  const PerLayer n_kv_head = object.find("n_kv_head") != nullptr ? PerLayer(object, "n_kv_head") : n_head;
  const PerLayer d_ff(object, "d_ff");
  const PerLayer mixers = mixers_of(object);
  const PerLayer n_ff = object.find("n_ff") != nullptr ? PerLayer(object, "n_ff") : PerLayer("n_ff", 1);
  a.layers.resize(depth_of(object, {&n_head, &n_kv_head, &d_ff, &mixers, &n_ff}));
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    a.layers[l] = {.n_head = n_head.at(l),
                   .n_kv_head = n_kv_head.at(l),
                   .d_ff = d_ff.at(l),
                   .n_ff = n_ff.at(l),
                   .mixer = static_cast<Mixer>(mixers.at(l))};
  }
  object.optional("head_dim", a.head_dim);
  object.optional("d_embed", a.d_embed);
  object.optional("div_val", a.div_val);
  object.optional("cutoffs", a.cutoffs);
  object.optional("tie_projs", a.tie_projs);
  a.tie_embedding = a.family->tie_embedding;
  object.optional("tie_embedding", a.tie_embedding);
  read_details(object, a.details);
  validate(a);
  return a;
}

SearchSpaceOptions search_space_from_json(std::string_view text) {
  const Document document(text, "search space");
  SearchSpaceOptions options;
  read(document.root(), Where{.name = "search space"}, options);
  return options;
}

}  // namespace lts
