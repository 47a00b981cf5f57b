#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <variant>

#include "lts/algorithms/exhaustive.hpp"
#include "lts/algorithms/local_search.hpp"
#include "lts/algorithms/lts_evolution.hpp"
#include "lts/algorithms/nsga2.hpp"
#include "lts/algorithms/random_search.hpp"

namespace lts {

template <class... Each>
struct AlgorithmTable {
  using Options = std::variant<typename Each::Options...>;
};

/// All algorithms, a row each. What is done by name reads them here: searches, JSON, the C interface, the bindings.
using Algorithms = AlgorithmTable<  //
    LtsEvolution,                   //
    Nsga2,                          //
    LocalSearch,                    //
    RandomSearch,                   //
    Exhaustive>;

/// The options of one of them: of the first, unless others are given.
using AlgorithmOptions = Algorithms::Options;

/// In the order of the rows.
std::span<const std::string_view> algorithm_names() noexcept;
std::string_view algorithm_name(const AlgorithmOptions& options) noexcept;

/// Default options of the algorithm of that name. @throws std::invalid_argument naming the known ones.
AlgorithmOptions algorithm_options(std::string_view name);

/// What the algorithm says of itself, with pointers into `options`.
AlgorithmDescription describe(AlgorithmOptions& options);

/// @throws std::invalid_argument naming the option that is out of range.
std::unique_ptr<Algorithm> make_algorithm(const AlgorithmOptions& options);

}  // namespace lts
