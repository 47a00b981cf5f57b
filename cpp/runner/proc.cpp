#include "proc.hpp"

#include <fstream>
#include <iterator>

namespace lts::runner {

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::string blanks("\0 \n\t", 4);
  const auto begin = text.find_first_not_of(blanks);
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

}  // namespace lts::runner
