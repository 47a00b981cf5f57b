#pragma once

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lts::runner {

/// Why there is no result: one sentence for people.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// @throws Error with the parts joined.
[[noreturn]] void fail(std::initializer_list<std::string_view> parts);

/// The text with every run of white space and control characters as one space; what is longer is cut off.
std::string one_line(std::string_view text);

/// The last line that is not blank, as `one_line`.
std::string last_line(std::string_view text);

/// The system's text for an error number, for example "No such file or directory".
std::string reason(int error);

}  // namespace lts::runner
