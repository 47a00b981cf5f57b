#pragma once

#include <lts/cost.hpp>
#include <string>

#include "convert.hpp"

namespace lts::python {

/// The workload that the keyword arguments of a cost describe. Activations are float32 where weights are integers, as
/// in exported models.
inline Workload workload(py::handle n_prompt, py::handle batch, const std::string& precision,
                         const std::string& logits) {
  const Precision weights = lts::precision(precision);
  const Workload result{.batch = to_int64(batch, "batch"),
                        .n_prompt = to_int64(n_prompt, "n_prompt"),
                        .weights = weights,
                        .activations = weights == Precision::float16 ? weights : Precision::float32,
                        .logits = lts::logits(logits)};
  validate(result);
  return result;
}

}  // namespace lts::python
