#pragma once

#include <lts/cost.hpp>
#include <string>

#include "convert.hpp"

namespace lts::python {

/// The workload that the keyword arguments of a cost describe.
inline Workload workload(py::handle n_prompt, py::handle batch, const std::string& precision) {
  const Workload result{.batch = to_int64(batch, "batch"),
                        .n_prompt = to_int64(n_prompt, "n_prompt"),
                        .weights = lts::precision(precision),
                        .activations = lts::precision(precision)};
  validate(result);
  return result;
}

}  // namespace lts::python
