#pragma once

#include <string>
#include <string_view>

#include "request.hpp"
#include "response.hpp"

namespace lts::runner {

/// Loads a compiled model, runs it until the time is known, and says what that took.
/// @param folder with TVM's libraries, and a slash at its end
/// @param tvm version of these
/// @throws Error when that cannot be done or an output is not finite.
Result run(const Request& request, const std::string& folder, std::string_view tvm);

}  // namespace lts::runner
