#pragma once

#include <cstdint>
#include <string_view>

#include "lts/algorithms/algorithm.hpp"

// The kinds of options that algorithms have in common.
namespace lts::detail {

/// A number of architectures, up to 1,000,000.
inline AlgorithmOption count(std::string_view name, std::uint32_t& value, std::uint32_t minimum, std::string_view doc) {
  return {.name = name, .value = &value, .minimum = static_cast<double>(minimum), .maximum = 1'000'000, .doc = doc};
}

/// From 0 to 1.
inline AlgorithmOption probability(std::string_view name, double& value, std::string_view doc) {
  return {.name = name, .value = &value, .minimum = 0, .maximum = 1, .doc = doc};
}

/// The options, once each is known to be in range: before there is anything of the algorithm that would have to end.
/// @throws std::invalid_argument as `check_options`.
template <class A>
typename A::Options checked(typename A::Options options) {
  check_options(A::name, A::describe(options));
  return options;
}

}  // namespace lts::detail
