#include "lts/error.hpp"

#include <array>
#include <clocale>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>

namespace lts {

namespace {

/// Length of the UTF-8 character that the text begins with; 0 when it begins with none, or with a control character.
std::size_t printable_at(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first < 0x20 || first == 0x7F ? 0 : 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  // Overlong forms, halves of surrogate pairs, and numbers beyond the last character are invalid.
  const bool no_character = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) >= 0xA0) ||
                            (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) >= 0x90);
  return no_character ? 0 : size;
}

}  // namespace

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = printable_at(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string sentence(std::initializer_list<std::string_view> parts) {
  std::string joined;
  for (const std::string_view part : parts) joined += part;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string result;
  for (std::string_view text = joined; !text.empty();) {
    const std::size_t size = printable_at(text);
    if (size == 0) {
      const auto byte = static_cast<unsigned char>(text[0]);
      result.append("\\x").append(1, digits[byte >> 4U]).append(1, digits[byte & 0xFU]);
      text.remove_prefix(1);
    } else {
      result.append(text.substr(0, size));
      text.remove_prefix(size);
    }
  }
  return result;
}

// std::to_chars is not used: its tables for numbers with fractions are a fifth of a library that includes the C++
// library.
std::string to_text(double number) {
  std::array<char, 32> digits{};
  for (int precision = 1; precision <= std::numeric_limits<double>::max_digits10; ++precision) {
    std::snprintf(digits.data(), digits.size(), "%.*g", precision, number);
    if (std::strtod(digits.data(), nullptr) == number) break;
  }
  std::string text = digits.data();
  const std::string_view point = std::localeconv()->decimal_point;
  if (const auto at = text.find(point); at != std::string::npos) text.replace(at, point.size(), ".");
  return text;
}

void throw_invalid(std::initializer_list<std::string_view> parts) { throw std::invalid_argument(sentence(parts)); }

}  // namespace lts
