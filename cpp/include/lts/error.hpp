#pragma once

#include <initializer_list>
#include <stdexcept>  // what it throws
#include <string>
#include <string_view>

namespace lts {

/// Throws `std::invalid_argument` whose message is the `sentence` of the parts: what was wrong, where, and what would
/// be right.
[[noreturn]] void throw_invalid(std::initializer_list<std::string_view> parts);

/// Whether the text is UTF-8 without control characters.
bool is_printable(std::string_view text);

/// The parts, joined, in one line of UTF-8: control characters and bytes that are none of a character as \x0a.
std::string sentence(std::initializer_list<std::string_view> parts);

/// The number with the fewest digits that read back as the same, and a point, whatever the locale. For messages.
std::string to_text(double number);

}  // namespace lts
