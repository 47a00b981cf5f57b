#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "lts/surrogate.hpp"

// Private to surrogate_fit.cpp and pooled.cpp.
namespace lts::detail {

/// @throws std::invalid_argument for a sample that is out of range; the sentence begins with `where`.
void check_samples(std::span<const CostSample> samples, std::string_view where);

/// The coefficients that `Surrogate::fit` finds, without what its intervals need, which is most of the work.
/// @throws std::invalid_argument as it does.
std::vector<double> fitted_coefficients(std::span<const CostSample> samples, const SurrogateOptions& options);

}  // namespace lts::detail
