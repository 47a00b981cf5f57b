#pragma once

#include <string>

#include "generator.hpp"

namespace lts::runner {

/// The folder of this program, with a slash at the end.
std::string own_folder();

/// Loads a model that generates, and TVM before it if it is not loaded.
/// @param path folder of the model, or its manifest
/// @param runtime folder of TVM's libraries
/// @throws Error when the model cannot be loaded or does not generate.
Generator open_generator(const std::string& path, const std::string& runtime, int threads);

}  // namespace lts::runner
