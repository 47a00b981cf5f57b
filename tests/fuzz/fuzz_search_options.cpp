// What a search is created with: the first line is the algorithm; the lines up to an empty one are the objectives,
// those after it the constraints.

#include <sstream>
#include <string>
#include <vector>

#include "fuzz.hpp"
#include "play.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

namespace {

/// 20 architectures, which a search uses up, or very many.
const lts_space* space_of(bool small) {
  const auto make = [](const char* json) {
    lts_space* space = nullptr;
    must(lts_space_from_json(json, &space), "the space is valid");
    return space;
  };
  static const lts_space* const tiny = make(R"({"n_layer":[1,2],"d_model":[16],"n_head":[1,2],"d_ff":[32,64]})");
  static const lts_space* const wide =
      make(R"({"n_layer":[2,12],"d_model":[64,128],"n_head":[1,2,4,8],"d_ff":[64,128,192,256]})");
  return small ? tiny : wide;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  for (const std::string& text : texts) result.push_back(text.c_str());
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  std::string algorithm;
  std::getline(lines, algorithm);
  std::vector<std::string> objectives;
  std::vector<std::string> constraints;
  std::vector<std::string>* now = &objectives;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) {
      now = &constraints;
    } else {
      now->push_back(line);
    }
  }
  const std::vector<const char*> of_objectives = pointers(objectives);
  const std::vector<const char*> of_constraints = pointers(constraints);
  lts_search_options options = LTS_SEARCH_OPTIONS_INIT;
  options.algorithm = algorithm.c_str();
  options.objectives = of_objectives.data();
  options.n_objectives = of_objectives.size();
  options.constraints = of_constraints.data();
  options.n_constraints = of_constraints.size();
  options.seed = size;
  OwnedSearch search;
  if (!good(lts_search_create(space_of(size % 2 == 0), &options, search.out()))) return 0;
  check_saved(search);
  play(search, 12);
  check_saved(search);
  return 0;
}
