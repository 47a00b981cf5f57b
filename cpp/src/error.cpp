#include "lts/error.hpp"

#include <stdexcept>
#include <string>

namespace lts {

void throw_invalid(std::initializer_list<std::string_view> parts) {
  std::string message;
  for (const std::string_view part : parts) message += part;
  throw std::invalid_argument(message);
}

}  // namespace lts
