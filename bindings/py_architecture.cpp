#include "py_architecture.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <lts/json.hpp>

#include "layers.hpp"

namespace lts::python {

namespace {

/// One number where all are equal.
std::string short_text(const std::vector<std::int64_t>& values) {
  if (std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) == values.end()) {
    return std::to_string(values.front());
  }
  return py::repr(py::cast(values));
}

}  // namespace

Architecture make_architecture(const std::string& family, const Int& vocab_size, const Int& n_positions,
                               const Int& d_model, const IntOrInts& n_head, const IntOrInts& d_ff,
                               const OptionalIntOrInts& n_kv_head, const OptionalInt& n_layer, const Int& head_dim,
                               const Int& d_embed, const Int& div_val, const Ints& cutoffs, const Bools& tie_projs,
                               std::optional<bool> tie_embedding, const Mixers& mixer, const IntOrInts& n_ff,
                               const OptionalFloat& rotary_theta, const OptionalFloat& norm_epsilon,
                               const Int& rotary_dim, const Scaling& rotary_scaling, std::optional<bool> qkv_bias,
                               std::optional<bool> attention_output_bias, std::optional<bool> feed_forward_bias) {
  Architecture a;
  a.family = &lts::family(family);
  a.vocab_size = to_int64(vocab_size, "vocab_size");
  a.n_positions = to_int64(n_positions, "n_positions");
  a.d_model = to_int64(d_model, "d_model");
  a.head_dim = to_int64(head_dim, "head_dim");
  const PerLayer heads("n_head", n_head);
  a.layers = make_layers(n_layer, heads, n_kv_head.is_none() ? heads : PerLayer("n_kv_head", n_kv_head),
                         PerLayer("d_ff", d_ff), PerLayer("mixer", mixer), PerLayer("n_ff", n_ff));
  a.d_embed = to_int64(d_embed, "d_embed");
  a.div_val = to_int64(div_val, "div_val");
  a.cutoffs = to_int64s(cutoffs, "cutoffs");
  a.tie_projs = to_bools(tie_projs, "tie_projs");
  a.tie_embedding = tie_embedding.value_or(a.family->tie_embedding);
  a.details = to_details(rotary_theta, norm_epsilon, rotary_dim, rotary_scaling, qkv_bias, attention_output_bias,
                         feed_forward_bias);
  lts::validate(a);
  return a;
}

std::vector<std::int64_t> n_heads(const Architecture& a) {
  return of_layers(a, [](const Layer& l) { return l.n_head; });
}
std::vector<std::int64_t> n_kv_heads(const Architecture& a) {
  return of_layers(a, [](const Layer& l) { return l.n_kv_head; });
}
std::vector<std::int64_t> d_ffs(const Architecture& a) {
  return of_layers(a, [](const Layer& l) { return l.d_ff; });
}

std::vector<std::int64_t> n_ffs(const Architecture& a) {
  return of_layers(a, [](const Layer& l) { return l.n_ff; });
}
std::vector<std::string_view> mixers(const Architecture& a) {
  std::vector<std::string_view> names;
  for (const Layer& layer : a.layers) names.push_back(mixer_name(layer.mixer));
  return names;
}

std::string representation(const Architecture& a) {
  const auto number = [](std::string_view name, std::int64_t value) {
    return ", " + std::string(name) + "=" + std::to_string(value);
  };
  std::string text = "Architecture('" + std::string(a.family->name) + "'" + number("vocab_size", a.vocab_size) +
                     number("n_positions", a.n_positions) + number("d_model", a.d_model);
  const auto heads = n_heads(a);
  const auto kv_heads = n_kv_heads(a);
  const std::string n_head = short_text(heads);
  const std::string n_kv_head = short_text(kv_heads);
  const std::string d_ff = short_text(d_ffs(a));
  text += ", n_head=" + n_head + ", d_ff=" + d_ff;
  if (heads != kv_heads) text += ", n_kv_head=" + n_kv_head;
  const std::string n_ff = short_text(n_ffs(a));
  if (a.family->mixed) {
    text += ", mixer=" + std::string(py::repr(py::cast(mixers(a)))) + ", n_ff=" + n_ff;
  } else if ((n_head + n_kv_head + d_ff).find('[') == std::string::npos) {
    text += number("n_layer", a.n_layer());
  }
  if (a.head_dim != 0) text += number("head_dim", a.head_dim);
  if (a.d_embed != -1) text += number("d_embed", a.d_embed);
  if (a.div_val != 1) text += number("div_val", a.div_val);
  if (!a.cutoffs.empty()) text += ", cutoffs=" + std::string(py::repr(py::cast(a.cutoffs)));
  if (!a.tie_projs.empty()) text += ", tie_projs=" + std::string(py::repr(py::cast(a.tie_projs)));
  if (a.tie_embedding != a.family->tie_embedding) {
    text += std::string(", tie_embedding=") + (a.tie_embedding ? "True" : "False");
  }
  for (const auto& [name, value] : arguments_of(lts::differences(a.details, *a.family))) {
    text += ", " + std::string(py::str(name)) + "=" + std::string(py::repr(value));
  }
  return text + ")";
}

Fields to_dict(const Architecture& a) { return py::module_::import("json").attr("loads")(lts::to_json(a)); }

Architecture from_dict(const Fields& values) {
  // NumPy's numbers and arrays have tolist().
  const py::cpp_function plain([](const py::object& value) -> py::object {
    if (py::hasattr(value, "tolist")) return value.attr("tolist")();
    throw py::type_error("an architecture cannot hold a " + std::string(py::repr(py::type::of(value))));
  });
  const py::str text = py::module_::import("json").attr("dumps")(values, py::arg("default") = plain);
  return lts::architecture_from_json(std::string(text));
}

}  // namespace lts::python
