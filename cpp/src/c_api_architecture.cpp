#include <algorithm>
#include <cmath>
#include <string>

#include "c_api.hpp"
#include "lts/analytic.hpp"
#include "lts/cost.hpp"
#include "lts/error.hpp"
#include "lts/json.hpp"
#include "lts/proxy.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace
using lts::Architecture;

namespace {

lts::Precision precision_of(std::int32_t bits, const char* name) {
  switch (bits) {
    case 32:
      return lts::Precision::float32;
    case 16:
      return lts::Precision::float16;
    case 8:
      return lts::Precision::int8;
    case 4:
      return lts::Precision::int4;
    default:
      fail(LTS_INVALID_ARGUMENT, {name, " is ", std::to_string(bits), "; it must be 32, 16, 8 or 4"});
  }
}

bool of_layer(lts_dimension dimension) { return dimension >= LTS_N_HEAD && dimension <= LTS_MIXER; }

void check_dimension(lts_dimension dimension) {
  if (of_layer(dimension) || (dimension >= LTS_VOCAB_SIZE && dimension <= LTS_FEED_FORWARD_BIAS)) return;
  fail(LTS_INVALID_ARGUMENT,
       {"dimension is ", std::to_string(dimension), "; it must be one of the constants of lts_dimension"});
}

std::int64_t value_of(const Architecture& a, lts_dimension dimension, std::size_t layer) {
  check_dimension(dimension);
  if (!of_layer(dimension) && layer != 0) {
    fail(LTS_INVALID_ARGUMENT, {"layer is ", std::to_string(layer), "; it must be 0 for what layers have in common"});
  }
  if (of_layer(dimension) && layer >= a.layers.size()) {
    fail(LTS_INVALID_ARGUMENT, {"layer is ", std::to_string(layer), "; the architecture has ",
                                std::to_string(a.layers.size()), " layers, from 0"});
  }
  switch (dimension) {
    case LTS_VOCAB_SIZE:
      return a.vocab_size;
    case LTS_N_POSITIONS:
      return a.n_positions;
    case LTS_N_LAYER:
      return a.n_layer();
    case LTS_D_MODEL:
      return a.d_model;
    case LTS_HEAD_DIM:
      return a.head_dim;
    case LTS_D_EMBED:
      return a.d_embed;
    case LTS_DIV_VAL:
      return a.div_val;
    case LTS_TIE_EMBEDDING:
      return a.tie_embedding ? 1 : 0;
    case LTS_ROTARY_DIM:
      return a.details.rotary_dim;
    case LTS_QKV_BIAS:
      return a.qkv_bias() ? 1 : 0;
    case LTS_ATTENTION_OUTPUT_BIAS:
      return a.attention_output_bias() ? 1 : 0;
    case LTS_FEED_FORWARD_BIAS:
      return a.feed_forward_bias() ? 1 : 0;
    case LTS_N_HEAD:
      return a.layers[layer].n_head;
    case LTS_N_KV_HEAD:
      return a.layers[layer].n_kv_head;
    case LTS_D_FF:
      return a.layers[layer].d_ff;
    case LTS_N_FF:
      return a.layers[layer].n_ff;
    default:
      return static_cast<std::int64_t>(a.layers[layer].mixer);
  }
}

void check_alpha(double alpha) {
  if (!(alpha >= 0.0 && alpha <= 1.0)) {
    fail(LTS_INVALID_ARGUMENT, {"alpha is ", lts::to_text(alpha), "; it must be from 0 to 1"});
  }
}

lts::Workload workload_of(const lts_workload* workload) {
  if (workload == nullptr) return {};
  checked_size(workload, "workload");
  const lts::Workload result{
      .batch = workload->batch,
      .n_prompt = workload->n_prompt,
      .weights = precision_of(workload->weight_bits, "workload: weight_bits"),
      .activations = precision_of(workload->activation_bits, "workload: activation_bits"),
      .logits = flag(workload->last_logits, "workload: last_logits") ? lts::Logits::last : lts::Logits::all};
  validate(result);
  return result;
}

}  // namespace

lts_status lts_architecture_create(lts_architecture** out) noexcept {
  return guarded_out(__func__, out, [&] { give(out, Architecture()); });
}

lts_status lts_architecture_destroy(lts_architecture* architecture) noexcept { return destroy(__func__, architecture); }

lts_status lts_architecture_from_json(const char* json, lts_architecture** out) noexcept {
  return guarded_out(__func__, out, [&] { give(out, lts::architecture_from_json(required_text(json, "json"))); });
}

lts_status lts_architecture_to_json(const lts_architecture* architecture, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Filled filled(architecture, "architecture");
    give_text(out, lts::to_json(*filled));
  });
}

lts_status lts_architecture_copy(lts_architecture* to, const lts_architecture* from) noexcept {
  return guarded(__func__, [&] {
    const Borrowed<const lts_architecture> source(from, "from");
    if (to == from) return;
    const Borrowed<lts_architecture> target(to, "to");
    Architecture copy = *source;  // if this runs out of memory, the target is unchanged
    *target = std::move(copy);
  });
}

lts_status lts_architecture_without_empty_layers(lts_architecture* to, const lts_architecture* from) noexcept {
  return guarded(__func__, [&] {
    const bool same = to == from;
    const Filled source(from, "from");
    Architecture rest = lts::without_empty_layers(*source);
    if (same) fail(LTS_INVALID_ARGUMENT, {"to is the same handle as from; it must be another"});
    const Borrowed<lts_architecture> target(to, "to");
    *target = std::move(rest);
  });
}

lts_status lts_architecture_equal(const lts_architecture* a, const lts_architecture* b, int* equal) noexcept {
  return guarded(__func__, [&] {
    required(equal, "equal");
    const Borrowed<const lts_architecture> first(a, "a");
    const Borrowed<const lts_architecture> second(b, "b");
    *equal = *first == *second ? 1 : 0;
  });
}

lts_status lts_architecture_family(const lts_architecture* architecture, const char** name) noexcept {
  return guarded(__func__, [&] {
    required(name, "name");
    const Filled filled(architecture, "architecture");
    *name = filled->family->name.data();  // of a literal, so it ends in a zero byte
  });
}

lts_status lts_architecture_get(const lts_architecture* architecture, lts_dimension dimension, size_t layer,
                                int64_t* value) noexcept {
  return guarded(__func__, [&] {
    required(value, "value");
    const Filled filled(architecture, "architecture");
    *value = value_of(*filled, dimension, layer);
  });
}

lts_status lts_architecture_get_layers(const lts_architecture* architecture, lts_dimension dimension, int64_t* values,
                                       size_t n_values) noexcept {
  return guarded(__func__, [&] {
    required(values, "values");
    const Filled filled(architecture, "architecture");
    if (n_values != filled->layers.size()) {
      fail(LTS_INVALID_ARGUMENT, {"n_values is ", std::to_string(n_values), "; the architecture has ",
                                  std::to_string(filled->layers.size()), " layers"});
    }
    check_dimension(dimension);
    if (!of_layer(dimension)) {
      fail(LTS_INVALID_ARGUMENT,
           {"dimension is ", std::to_string(dimension), "; it must be one that each layer has, from LTS_N_HEAD on"});
    }
    for (std::size_t l = 0; l < n_values; ++l) values[l] = value_of(*filled, dimension, l);
  });
}

const char* lts_count_name(size_t index) noexcept {
  const auto names = lts::analytic_names();
  return index < names.size() ? names[index].data() : nullptr;  // of literals
}

lts_status lts_count(const lts_architecture* architecture, const char* name, const lts_workload* workload,
                     double* value) noexcept {
  return guarded(__func__, [&] {
    required(value, "value");
    const Filled filled(architecture, "architecture");
    *value = lts::analytic(required_text(name, "name"))(*filled, workload_of(workload));
  });
}

lts_status lts_count_parameters(const lts_architecture* architecture, lts_parameter_counts* counts) noexcept {
  return guarded(__func__, [&] {
    checked_size(counts, "counts");
    const Filled filled(architecture, "architecture");
    const lts::ParameterCounts c = lts::count_parameters(*filled);
    *counts = {.struct_size = sizeof *counts,
               .attention = c.attention,
               .feed_forward = c.feed_forward,
               .embedding = c.embedding,
               .decoder = c.decoder,
               .softmax = c.softmax,
               .total = c.total()};
  });
}

lts_status lts_geometric(const lts_architecture* architecture, double alpha, double* value) noexcept {
  return guarded(__func__, [&] {
    required(value, "value");
    check_alpha(alpha);
    const Filled filled(architecture, "architecture");
    *value = lts::geometric(*filled, alpha);
  });
}

lts_status lts_zerolm(const lts_architecture* architecture, double alpha, double variance, double* value) noexcept {
  return guarded(__func__, [&] {
    required(value, "value");
    check_alpha(alpha);
    if (!(variance >= 0.0) || !std::isfinite(variance)) {
      fail(LTS_INVALID_ARGUMENT,
           {"variance is ", lts::to_text(variance), "; it must be a finite number and not negative"});
    }
    const Filled filled(architecture, "architecture");
    *value = lts::zerolm(*filled, alpha, variance);
  });
}
