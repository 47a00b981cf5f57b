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
  const std::string why_not =
      text_of([&](char** out) { return lts_space_why_not(space, member, out); }, "membership can be asked");
  expect(why_not.empty(), "what a space gives is in it");
  OwnedArchitecture again;
  must(lts_architecture_create(again.out()), "an architecture can be created");
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
  const std::string json(reinterpret_cast<const char*>(data), size);
  OwnedSpace space;
  if (!good(lts_space_from_json(json.c_str(), space.out()))) return 0;

  const auto save = [](const lts_space* s) {
    return text_of([s](char** out) { return lts_space_to_json(s, out); }, "a space can be written");
  };
  const auto size_of = [](const lts_space* s) {
    return text_of([s](char** out) { return lts_space_size(s, out); }, "a space has a size");
  };
  const std::string saved = save(space);
  const std::string n = size_of(space);
  expect(n != "0", "no space is empty");
  OwnedSpace again;
  must(lts_space_from_json(saved.c_str(), again.out()), "what was written can be read");
  expect(save(again) == saved, "equal spaces are written the same");
  expect(size_of(again) == n, "equal spaces have one size");

  OwnedArchitecture member;
  must(lts_architecture_create(member.out()), "an architecture can be created");
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
  const auto why_not = [&](const lts_architecture* other) {
    return text_of([&](char** out) { return lts_space_why_not(space, other, out); }, "membership can be asked");
  };
  if (why_not(sample_architecture()).empty()) check_member(space, sample_architecture());
  if (why_not(largest_architecture()).empty()) check_member(space, largest_architecture());
  return 0;
}
