#pragma once

#include <lts/layer_quality.hpp>
#include <vector>

namespace lts::python {

/// A model of quality and, if it was fitted here, the prediction of every sample from the others.
struct PyLayerQuality : LayerQuality {
  std::vector<double> left_out = {};
};

}  // namespace lts::python
