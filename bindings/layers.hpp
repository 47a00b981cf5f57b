#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <lts/architecture.hpp>
#include <string_view>
#include <vector>

namespace lts::python {

/// One dimension of the layers: a value for all, or one value each. Mixers are numbers here.
struct PerLayer {
  std::string_view name;
  std::vector<std::int64_t> values;
  bool scalar;

  PerLayer(std::string_view name, pybind11::handle given);
  [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(values.size()); }
  [[nodiscard]] std::int64_t at(std::size_t layer) const { return scalar ? values[0] : values[layer]; }
};

/// The layers; `n_layer` and the dimensions must agree on their number.
/// @throws std::invalid_argument naming those that do not.
std::vector<Layer> make_layers(pybind11::handle n_layer, const PerLayer& n_head, const PerLayer& n_kv_head,
                               const PerLayer& d_ff, const PerLayer& mixer, const PerLayer& n_ff);

}  // namespace lts::python
