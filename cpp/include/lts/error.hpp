#pragma once

#include <initializer_list>
#include <stdexcept>  // the exceptions thrown
#include <string>
#include <string_view>

namespace lts {

/// Throws `std::invalid_argument` whose message is the `sentence` of the parts: what was wrong, where, and what would
/// be right.
[[noreturn]] void throw_invalid(std::initializer_list<std::string_view> parts);

/// Whether the text is UTF-8 without control characters.
bool is_printable(std::string_view text);

/// The parts, joined, as one line of UTF-8; control characters and invalid bytes are escaped, such as \x0a.
std::string sentence(std::initializer_list<std::string_view> parts);

/// The number with the fewest digits that read back as the same, with a point in any locale. For messages.
std::string to_text(double number);

}  // namespace lts
