#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace lts::runner {

/// Pins this process to processors (none: it may use all), and tells TVM how many threads to start. The first call
/// decides, because TVM reads that only when it is loaded.
/// @throws Error when an earlier call had other ones.
void use_processors(const std::vector<std::size_t>& cpus, int threads, std::vector<std::string>& warnings);

}  // namespace lts::runner
