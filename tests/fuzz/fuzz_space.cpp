// Search spaces from JSON: their size, members and indices.

#include <string>

#include "fuzz.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

namespace {

std::string index_of(const lts_space* space, const lts_architecture* architecture) {
  return text_of([&](char** out) { return lts_space_index(space, architecture, out); }, "members have an index");
}

void check_member(const lts_space* space, const lts_architecture* member) {
  expect(is_member(space, member), "what a space gives is in it");
  const EmptyArchitecture again;
  must(lts_space_at(space, index_of(space, member).c_str(), again), "an index leads back");
  int equal = 0;
  must(lts_architecture_equal(member, again, &equal), "architectures can be compared");
  expect(equal == 1, "an index leads back to the same");
}

/// The number before one that is not 0.
std::string before(std::string digits) {
  std::size_t i = digits.size() - 1;
  while (digits[i] == '0') digits[i--] = '9';
  --digits[i];
  const std::size_t first = digits.find_first_not_of('0');
  return first == std::string::npos ? "0" : digits.substr(first);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OwnedSpace space;
  OwnedSpace again;
  if (!read_twice(data, size, lts_space_from_json, lts_space_to_json, space, again)) return 0;

  const auto size_of = [](const lts_space* s) {
    return text_of([s](char** out) { return lts_space_size(s, out); }, "a space has a size");
  };
  const std::string n = size_of(space);
  expect(n != "0", "no space is empty");
  expect(size_of(again) == n, "equal spaces have one size");

  const EmptyArchitecture member;
  lts_random random{};
  must(lts_random_seed(&random, size), "a generator can be seeded");
  for (int i = 0; i < 2; ++i) {
    must(lts_space_sample(space, &random, member), "a space can be sampled");
    check_member(space, member);
    must(lts_space_sample_choices(space, &random, member), "a space can be sampled by choices");
    check_member(space, member);
  }
  const std::string last = before(n);
  for (const std::string& index : {std::string("0"), last}) {
    must(lts_space_at(space, index.c_str(), member), "there is a first and a last");
    expect(index_of(space, member) == index, "an index leads back");
  }
  expect(!good(lts_space_at(space, n.c_str(), member)), "there is nothing after the last");
  for (const lts_architecture* other : {sample_architecture(), largest_architecture()}) {
    if (is_member(space, other)) check_member(space, other);
  }
  return 0;
}
