#include <gtest/gtest.h>

#include <set>

#include "lts/algorithms/random_search.hpp"
#include "lts/search.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::space_of_depths;

Search search_of(SearchSpaceOptions space, std::uint64_t seed = 0) {
  return {SearchSpace(std::move(space)),
          {.objectives = {{.name = "x"}}, .constraints = {}, .algorithm = RandomSearchOptions{}, .seed = seed}};
}

TEST(RandomSearch, ProposesEveryDepthAlike) {
  Search search = search_of(space_of_depths({4, 8, 12, 16}));
  std::map<std::int64_t, int> depths;
  for (const Candidate& candidate : search.ask(4000)) ++depths[candidate.architecture.n_layer()];
  ASSERT_EQ(depths.size(), 4U);
  for (const auto& [depth, count] : depths) {
    EXPECT_NEAR(count, 1000, 150) << "depth " << depth;
  }
}

TEST(RandomSearch, KeepsNoState) {
  Search search = search_of(space_of_depths({4}));
  for (const Candidate& candidate : search.ask(50)) search.tell(candidate.id, std::vector<double>{1.0});
  EXPECT_EQ(search.state().algorithm, AlgorithmState{});
}

TEST(RandomSearch, ResultsDoNotMatter) {
  Search told = search_of(space_of_depths({6}), 4);
  Search untold = search_of(space_of_depths({6}), 4);
  for (int i = 0; i < 100; ++i) {
    const Candidate a = told.ask(1).at(0);
    EXPECT_EQ(a.architecture, untold.ask(1).at(0).architecture);
    if (i % 3 == 0) {
      told.tell_failed(a.id);
    } else {
      told.tell(a.id, std::vector<double>{static_cast<double>(i)});
    }
  }
}

TEST(RandomSearch, UsesUpTheSpace) {
  Search search = search_of(space_of_depths({1, 2}));
  const auto size = static_cast<std::size_t>(search.space().size().low_uint64());
  std::set<std::uint64_t> indices;
  for (const Candidate& candidate : search.ask(10 * size)) {
    indices.insert(search.space().index(candidate.architecture).low_uint64());
  }
  EXPECT_EQ(indices.size(), size);
  EXPECT_EQ(search.n_asked(), size);
  EXPECT_TRUE(search.ask(1).empty());
}

}  // namespace
}  // namespace lts
