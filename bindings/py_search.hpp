#pragma once

#include <cstdint>
#include <lts/search.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "cost_models.hpp"
#include "search_options.hpp"

namespace lts::python {

using ValuesArgument = Argument<"collections.abc.Mapping[str, typing.SupportsFloat] | None">;
using ArchiveResult = Argument<"lts._core.ParetoArchive">;
using Values = py::typing::Dict<py::str, py::float_>;

struct PyFrontMember {
  std::uint64_t id;
  Architecture architecture;
  Values values;
};

/// A search, and whether a call on it is at work without the GIL.
class PySearch {
 public:
  explicit PySearch(Search search) : search_(std::move(search)) {}
  static PySearch make(const SearchSpace& space, const ObjectivesArgument& objectives,
                       const ConstraintsArgument& constraints, const std::string& algorithm, const Int& seed,
                       const AlgorithmArguments& algorithm_options);
  static PySearch load(const std::string& text);

  /// The search, for a short call under the GIL. @throws std::runtime_error while it is at work.
  Search& idle();
  /// What never changes of it.
  [[nodiscard]] const SearchOptions& options() const { return search_.options(); }
  [[nodiscard]] const SearchSpace& space() const { return search_.space(); }
  [[nodiscard]] std::vector<std::string> columns() const;

  std::vector<Candidate> ask(const Int& n);
  void tell(const Int& id, const ValuesArgument& values);
  std::uint64_t run(const Int& n, const Int& n_prompt, const Int& batch, const std::string& precision,
                    const std::string& logits, const CostModelsArgument& cost_models,
                    const CostModelsArgument& surrogates);
  std::vector<PyFrontMember> front();
  ArchiveResult archive();
  std::string save();
  [[nodiscard]] std::string representation() const;

 private:
  friend class Turn;

  Search search_;
  bool busy_ = false;
};

}  // namespace lts::python
