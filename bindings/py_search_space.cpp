#include "py_search_space.hpp"

#include <pybind11/stl.h>

#include <lts/json.hpp>

namespace lts::python {

using namespace py::literals;

namespace {

Bounds to_bounds(py::handle given, const std::string& name) {
  if (!is_sequence(given) || py::len(given) != 2) {
    throw py::type_error(name + " must be a tuple (min, max) of integers or None");
  }
  const auto end = [&](std::size_t i, const char* which) -> std::optional<std::int64_t> {
    const py::object value = py::reinterpret_borrow<py::sequence>(given)[i];
    if (value.is_none()) return std::nullopt;
    return to_int64(value, which + (" of " + name));
  };
  return {.min = end(0, "min"), .max = end(1, "max")};
}

std::vector<Heads> to_heads(py::handle given) {
  if (!is_sequence(given)) throw py::type_error("heads must be a sequence of (n_head, n_kv_head)");
  std::vector<Heads> heads;
  for (const py::handle pair : given) {
    const std::string name = "pair " + std::to_string(heads.size()) + " of heads";
    const std::vector<std::int64_t> numbers = to_int64s(pair, name);
    if (numbers.size() != 2) throw py::value_error(name + " must be n_head and n_kv_head");
    heads.push_back({numbers[0], numbers[1]});
  }
  return heads;
}

std::vector<double> to_doubles(py::handle given, const std::string& name) {
  if (!is_sequence(given)) throw py::type_error(name + " must be a sequence of numbers");
  std::vector<double> numbers;
  for (const py::handle each : given) {
    numbers.push_back(to_double(each, name + "[" + std::to_string(numbers.size()) + "]"));
  }
  return numbers;
}

std::vector<Biases> to_biases(py::handle given) {
  if (!is_sequence(given)) {
    throw py::type_error("bias must be a sequence of bools or of (qkv_bias, attention_output_bias, feed_forward_bias)");
  }
  std::vector<Biases> biases;
  for (const py::handle each : given) {
    const std::string name = "bias[" + std::to_string(biases.size()) + "]";
    if (PyBool_Check(each.ptr()) != 0) {
      const bool all = each.cast<bool>();
      biases.push_back({.qkv = all, .attention_output = all, .feed_forward = all});
      continue;
    }
    const std::vector<bool> parts = to_bools(each, name);
    if (parts.size() != 3) {
      throw py::value_error(name + " must be one bool, or qkv_bias, attention_output_bias and feed_forward_bias");
    }
    biases.push_back({.qkv = parts[0], .attention_output = parts[1], .feed_forward = parts[2]});
  }
  return biases;
}

/// One bool where all parts are the same.
py::list list_of(const std::vector<Biases>& biases) {
  py::list list;
  for (const auto& [qkv, attention_output, feed_forward] : biases) {
    if (qkv == attention_output && qkv == feed_forward) {
      list.append(qkv);
    } else {
      list.append(py::make_tuple(qkv, attention_output, feed_forward));
    }
  }
  return list;
}

}  // namespace

Pairs pairs_of(const std::vector<Heads>& heads) {
  Pairs pairs;
  for (const auto& [n_head, n_kv_head] : heads) pairs.emplace_back(n_head, n_kv_head);
  return pairs;
}

SearchSpace make_space(std::string name, std::string family, const Int& vocab_size, const Int& n_positions,
                       const IntOrInts& head_dim, const Ints& cutoffs, const Bools& tie_projs,
                       std::optional<bool> tie_embedding, const Ints& n_layer, const Ints& d_model, const Ints& n_head,
                       const Ints& n_kv_head, const HeadsArgument& heads, const Ints& d_ff, const Ints& d_embed,
                       const Ints& div_val, bool shared_n_head, bool shared_n_kv_head, bool shared_d_ff,
                       double min_ff_ratio, std::optional<double> max_ff_ratio, const Ints& head_dims,
                       const BoundsArgument& decoder_params, const BoundsArgument& total_params,
                       const OptionalFloat& rotary_theta, const OptionalFloat& norm_epsilon, const Int& rotary_dim,
                       const Scaling& rotary_scaling, std::optional<bool> qkv_bias,
                       std::optional<bool> attention_output_bias, std::optional<bool> feed_forward_bias,
                       const Floats& d_ff_ratio, const BiasArgument& bias) {
  const bool one_width = !is_sequence(head_dim);
  SearchSpaceOptions options{.name = std::move(name),
                             .family = std::move(family),
                             .vocab_size = to_int64(vocab_size, "vocab_size"),
                             .n_positions = to_int64(n_positions, "n_positions"),
                             .head_dim = one_width ? to_int64(head_dim, "head_dim") : 0,
                             .cutoffs = to_int64s(cutoffs, "cutoffs"),
                             .tie_projs = to_bools(tie_projs, "tie_projs"),
                             .tie_embedding = tie_embedding,
                             .details = to_details(rotary_theta, norm_epsilon, rotary_dim, rotary_scaling, qkv_bias,
                                                   attention_output_bias, feed_forward_bias),
                             .n_layer = to_int64s(n_layer, "n_layer"),
                             .d_model = to_int64s(d_model, "d_model"),
                             .n_head = to_int64s(n_head, "n_head"),
                             .n_kv_head = to_int64s(n_kv_head, "n_kv_head"),
                             .heads = to_heads(heads),
                             .d_ff = to_int64s(d_ff, "d_ff"),
                             .d_ff_ratio = to_doubles(d_ff_ratio, "d_ff_ratio"),
                             .head_dim_choices = {},
                             .bias = to_biases(bias),
                             .d_embed = to_int64s(d_embed, "d_embed"),
                             .div_val = to_int64s(div_val, "div_val"),
                             .shared_n_head = shared_n_head,
                             .shared_n_kv_head = shared_n_kv_head,
                             .shared_d_ff = shared_d_ff,
                             .min_ff_ratio = min_ff_ratio,
                             .max_ff_ratio = max_ff_ratio,
                             .head_dims = to_int64s(head_dims, "head_dims"),
                             .decoder_params = to_bounds(decoder_params, "decoder_params"),
                             .total_params = to_bounds(total_params, "total_params")};
  if (!one_width) {
    options.head_dim_choices = to_int64s(head_dim, "head_dim");
    if (options.head_dim_choices.empty()) throw py::value_error("head_dim has no choices; give at least one");
  }
  const py::gil_scoped_release release;
  return SearchSpace(std::move(options));
}

SearchSpace space_from_json(const std::string& text) {
  const py::gil_scoped_release release;
  return SearchSpace(lts::search_space_from_json(text));
}

py::typing::Dict<py::str, py::object> options_of(const SearchSpace& space) {
  const SearchSpaceOptions& o = space.options();
  py::typing::Dict<py::str, py::object> options(
      "name"_a = o.name, "family"_a = o.family, "vocab_size"_a = o.vocab_size, "n_positions"_a = o.n_positions,
      "head_dim"_a = o.head_dim_choices.empty() ? py::object(py::int_(o.head_dim)) : py::cast(o.head_dim_choices),
      "cutoffs"_a = o.cutoffs, "tie_projs"_a = o.tie_projs, "tie_embedding"_a = o.tie_embedding,
      "n_layer"_a = o.n_layer, "d_model"_a = o.d_model, "n_head"_a = o.n_head, "n_kv_head"_a = o.n_kv_head,
      "heads"_a = pairs_of(o.heads), "d_ff"_a = o.d_ff, "d_ff_ratio"_a = o.d_ff_ratio, "bias"_a = list_of(o.bias),
      "d_embed"_a = o.d_embed, "div_val"_a = o.div_val, "shared_n_head"_a = o.shared_n_head,
      "shared_n_kv_head"_a = o.shared_n_kv_head, "shared_d_ff"_a = o.shared_d_ff, "min_ff_ratio"_a = o.min_ff_ratio,
      "max_ff_ratio"_a = o.max_ff_ratio, "head_dims"_a = o.head_dims,
      "decoder_params"_a = py::make_tuple(o.decoder_params.min, o.decoder_params.max),
      "total_params"_a = py::make_tuple(o.total_params.min, o.total_params.max));
  options.attr("update")(arguments_of(o.details));
  return options;
}

Architecture at(const SearchSpace& space, const Int& index) {
  const py::int_ given = to_int(index, "index");
  if (given < py::int_(0)) throw py::index_error("index is negative; it must be at least 0");
  const BigUint number = BigUint::from_decimal(decimal_of(given));
  if (number >= space.size()) {
    throw py::index_error("index " + number.to_decimal() + " is out of range; the space has " +
                          space.size().to_decimal() + " architectures");
  }
  return space.at(number);
}

std::vector<Architecture> sample(const SearchSpace& space, const Int& n, const Int& seed, const std::string& method) {
  const std::uint64_t count = to_uint64(n, "n");
  Random random(to_uint64(seed, "seed"));
  if (method != "uniform" && method != "choices") {
    throw py::value_error("unknown method '" + method + "'; expected uniform or choices");
  }
  const py::gil_scoped_release release;
  std::vector<Architecture> samples;
  for (std::uint64_t i = 0; i < count; ++i) {
    Architecture& out = samples.emplace_back();
    if (method == "uniform") {
      space.sample(random, out);
    } else {
      space.sample_choices(random, out);
    }
  }
  return samples;
}

}  // namespace lts::python
