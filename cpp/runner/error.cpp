#include "error.hpp"

#include <cstddef>
#include <system_error>

namespace lts::runner {

namespace {
constexpr std::size_t kMaxLength = 500;

bool is_space(char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; }
bool continues(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }
}  // namespace

void fail(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const auto part : parts) text.append(part);
  throw Error(text);
}

std::string one_line(std::string_view text) {
  std::string line;
  bool space = false;
  for (const char c : text) {
    if (is_space(c)) {
      space = !line.empty();
      continue;
    }
    if (line.size() >= kMaxLength && !continues(c)) return line + "...";
    if (space) line += ' ';
    space = false;
    line += c;
  }
  return line;
}

std::string last_line(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  const auto at = text.rfind('\n');
  return one_line(at == std::string_view::npos ? text : text.substr(at + 1));
}

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace lts::runner
