#pragma once

#include <lts/cost.hpp>
#include <lts/error.hpp>
#include <string>

#include "convert.hpp"

namespace lts::python {

/// The workload that the keyword arguments of a cost describe.
inline Workload workload(py::handle n_prompt, py::handle batch, const std::string& precision) {
  const auto positive = [](py::handle value, std::string_view name) {
    constexpr std::int64_t most = 1 << 20;
    const std::int64_t number = to_int64(value, name);
    if (number < 1 || number > most) {
      throw_invalid({name, " is ", std::to_string(number), "; it must be from 1 to ", std::to_string(most)});
    }
    return number;
  };
  return {.batch = positive(batch, "batch"),
          .n_prompt = positive(n_prompt, "n_prompt"),
          .weights = lts::precision(precision),
          .activations = lts::precision(precision)};
}

}  // namespace lts::python
