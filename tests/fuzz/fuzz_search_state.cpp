// States of searches from JSON: a restored search is saved as it was, and continues.

#include "fuzz.hpp"
#include "play.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OwnedSearch search;
  OwnedSearch again;
  if (!read_twice(data, size, lts_search_restore, lts_search_save, search, again)) return 0;
  play(search, 8);
  check_saved(search);
  return 0;
}
