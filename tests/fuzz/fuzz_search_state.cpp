// States of searches from JSON: a restored search is saved as it was, and goes on.

#include <string>

#include "fuzz.hpp"
#include "play.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  OwnedSearch search;
  if (!good(lts_search_restore(json.c_str(), search.out()))) return 0;
  check_saved(search);
  play(search, 8);
  check_saved(search);
  return 0;
}
