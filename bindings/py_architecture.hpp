#pragma once

#include <cstdint>
#include <lts/architecture.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convert.hpp"
#include "details.hpp"

// Architectures as Python makes and shows them.
namespace lts::python {

using Fields = py::typing::Dict<py::str, py::object>;

/// The constructor; see the docstring of the class. @throws py::type_error, py::value_error, std::invalid_argument.
Architecture make_architecture(const std::string& family, const Int& vocab_size, const Int& n_positions,
                               const Int& d_model, const IntOrInts& n_head, const IntOrInts& d_ff,
                               const OptionalIntOrInts& n_kv_head, const OptionalInt& n_layer, const Int& head_dim,
                               const Int& d_embed, const Int& div_val, const Ints& cutoffs, const Bools& tie_projs,
                               std::optional<bool> tie_embedding, const Mixers& mixer, const IntOrInts& n_ff,
                               const OptionalFloat& rotary_theta, const OptionalFloat& norm_epsilon,
                               const Int& rotary_dim, const Scaling& rotary_scaling, std::optional<bool> qkv_bias,
                               std::optional<bool> attention_output_bias, std::optional<bool> feed_forward_bias);

/// What `get(layer)` is, of every layer.
template <class Get>
std::vector<std::int64_t> of_layers(const Architecture& a, Get&& get) {
  std::vector<std::int64_t> values;
  for (const Layer& layer : a.layers) values.push_back(get(layer));
  return values;
}
std::vector<std::int64_t> n_heads(const Architecture& a);
std::vector<std::int64_t> n_kv_heads(const Architecture& a);
std::vector<std::int64_t> d_ffs(const Architecture& a);
std::vector<std::int64_t> n_ffs(const Architecture& a);
std::vector<std::string_view> mixers(const Architecture& a);

/// A call that recreates the architecture; arguments that have their default are left out.
std::string representation(const Architecture& a);

/// The fields of the JSON as a dictionary, and back.
Fields to_dict(const Architecture& a);
Architecture from_dict(const Fields& values);

}  // namespace lts::python
