#pragma once

#include <string>
#include <string_view>

#include "request.hpp"
#include "response.hpp"

namespace lts::runner {

/// Loads a compiled model, runs it until there are enough samples, and returns times and memory. A process may run any
/// number of models, one at a time: TVM's libraries stay loaded, a model and its memory are released. Processors,
/// threads and folder are those of the first call, because TVM reads them only once.
/// @param folder folder of TVM's libraries, with a slash at its end
/// @param tvm version of TVM's libraries
/// @throws Error when the model cannot be run, an output is not finite, or the first call had other processors, threads
/// or another folder.
Result run(const Request& request, const std::string& folder, std::string_view tvm);

}  // namespace lts::runner
