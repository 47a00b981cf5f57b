#pragma once

#include <string>
#include <string_view>

#include "lts/architecture.hpp"
#include "lts/importance.hpp"
#include "lts/layer_quality.hpp"
#include "lts/search.hpp"
#include "lts/search_space.hpp"
#include "lts/surrogate.hpp"

namespace lts {

/// One line of JSON; equal values give equal bytes. Numbers are written so that reading them gives the same value.
std::string to_json(const Architecture& architecture);
std::string to_json(const SearchSpaceOptions& options);
std::string to_json(const SearchState& state);
std::string to_json(const Surrogate::State& state);
std::string to_json(const LossTable::State& state);
std::string to_json(const LayerQuality::State& state);

/// The inverse. Missing fields have their defaults; `n_head`, `n_kv_head` and `d_ff` may be one number for all layers,
/// with `n_layer` beside them. An architecture is validated; spaces and states are validated by their constructors.
/// @throws std::invalid_argument naming the position of a syntax error, or the field and what would be right; an
/// unknown key is an error that lists the allowed ones.
Architecture architecture_from_json(std::string_view text);
SearchSpaceOptions search_space_from_json(std::string_view text);
SearchState search_state_from_json(std::string_view text);
Surrogate::State surrogate_from_json(std::string_view text);
LossTable::State loss_table_from_json(std::string_view text);
LayerQuality::State layer_quality_from_json(std::string_view text);
/// An object with the name of an algorithm and those of its options that are not the defaults.
AlgorithmOptions algorithm_options_from_json(std::string_view text);

}  // namespace lts
