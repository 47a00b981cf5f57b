#pragma once

#include <cstdint>
#include <lts/search_space.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "details.hpp"

// Search spaces as Python makes and shows them.
namespace lts::python {

using HeadsArgument = Argument<"collections.abc.Sequence[tuple[typing.SupportsIndex, typing.SupportsIndex]]">;
using BiasArgument = Argument<"collections.abc.Sequence[bool | tuple[bool, bool, bool]]">;
using BoundsArgument = Argument<"tuple[typing.SupportsIndex | None, typing.SupportsIndex | None]">;
using Floats = Argument<"collections.abc.Sequence[typing.SupportsFloat]">;
using Pairs = std::vector<std::pair<std::int64_t, std::int64_t>>;

/// The constructor; see the docstring of the class. @throws py::type_error, py::value_error, std::invalid_argument.
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
                       const Floats& d_ff_ratio, const BiasArgument& bias);
SearchSpace space_from_json(const std::string& text);

/// The arguments that recreate the space, choices ascending.
py::typing::Dict<py::str, py::object> options_of(const SearchSpace& space);
/// @throws py::index_error when the index is negative or not below the size.
Architecture at(const SearchSpace& space, const Int& index);
/// `method`: uniform or choices. Releases the GIL.
std::vector<Architecture> sample(const SearchSpace& space, const Int& n, const Int& seed, const std::string& method);

/// (n_head, n_kv_head).
Pairs pairs_of(const std::vector<Heads>& heads);

}  // namespace lts::python
