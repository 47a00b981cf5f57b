#pragma once

#include <string>
#include <string_view>

#include "request.hpp"
#include "response.hpp"

namespace lts::runner {

/// Loads a compiled model, runs it until the time is known, and says what that took. A process may run any number of
/// models, one at a time: TVM's libraries stay loaded, a model and its memory are given back. The processors and the
/// threads are those of the first call, and so is the folder: TVM takes them in once.
/// @param folder with TVM's libraries, and a slash at its end
/// @param tvm version of these
/// @throws Error when that cannot be done, an output is not finite, or the first call had other processors, threads or
/// another folder.
Result run(const Request& request, const std::string& folder, std::string_view tvm);

}  // namespace lts::runner
