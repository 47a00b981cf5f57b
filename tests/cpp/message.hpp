#pragma once

#include <stdexcept>
#include <string>

namespace lts::oracle {

/// What `action` throws as `std::invalid_argument`; empty when it does not.
template <class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return {};
}

}  // namespace lts::oracle
