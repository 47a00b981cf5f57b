#include "fuzz.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace lts::fuzz {

namespace {

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    std::size_t n = 1;
    std::uint32_t code = first;
    if (first >= 0xF0U) {
      n = 4;
      code = first & 0x07U;
    } else if (first >= 0xE0U) {
      n = 3;
      code = first & 0x0FU;
    } else if (first >= 0xC0U) {
      n = 2;
      code = first & 0x1FU;
    }
    if (first >= 0xF8U || (first >= 0x80U && first < 0xC0U) || n > text.size() - i) return false;
    for (std::size_t k = 1; k < n; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xC0U) != 0x80U) return false;
      code = (code << 6U) | (next & 0x3FU);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < least[n] || code > 0x10FFFFU || (code >= 0xD800U && code < 0xE000U)) return false;
    i += n;
  }
  return true;
}

const lts_architecture* parsed(const char* json) {
  lts_architecture* architecture = nullptr;
  must(lts_architecture_from_json(json, &architecture), "the architecture is valid");
  return architecture;
}

}  // namespace

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "does not hold: %s\nlast error: %s\n", what, lts_last_error());
  std::abort();
}

bool good(lts_status status) {
  if (status >= 0) return true;
  expect(lts_last_error()[0] != '\0', "a call that fails says why");
  expect(is_utf8(lts_last_error()), "messages are UTF-8");
  expect(status == LTS_INVALID_ARGUMENT, "what is wrong is the argument");
  return false;
}

void must(lts_status status, const char* what) { expect(status == LTS_OK, what); }

bool is_member(const lts_space* space, const lts_architecture* architecture) {
  return text_of([&](char** out) { return lts_space_why_not(space, architecture, out); }, "membership can be asked")
      .empty();
}

const lts_architecture* sample_architecture() {
  static const lts_architecture* const architecture = parsed(
      R"({"family":"gpt2","vocab_size":50257,"n_positions":1024,"d_model":256,"n_head":[4,8],"d_ff":[512,1024]})");
  return architecture;
}

const lts_architecture* largest_architecture() {
  static const lts_architecture* const architecture =
      parsed(R"({"family":"llama","vocab_size":2147483648,"n_positions":2147483648,"d_model":1048576,)"
             R"("n_layer":4096,"n_head":524288,"d_ff":1048576})");
  return architecture;
}

}  // namespace lts::fuzz
