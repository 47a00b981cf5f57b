#include <gtest/gtest.h>

#include "lts/algorithms/exhaustive.hpp"
#include "lts/search.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::space_of;
using fixture::space_of_depths;

SearchOptions options() {
  return {.objectives = {{.name = "x"}}, .constraints = {}, .algorithm = ExhaustiveOptions{}, .seed = 0};
}

TEST(Exhaustive, ProposesEveryMemberInIndexOrder) {
  SearchSpaceOptions bounded = space_of_depths({1, 2, 3});
  bounded.decoder_params = {.min = 10'000, .max = 40'000};
  for (const SearchSpaceOptions& space : {space_of_depths({1, 2, 3}), bounded}) {
    Search search(SearchSpace(space), options());
    const std::uint64_t size = search.space().size().low_uint64();
    for (std::uint64_t i = 0; i < size; ++i) {
      const std::vector<Candidate> candidates = search.ask(1);
      ASSERT_EQ(candidates.size(), 1U);
      ASSERT_EQ(candidates[0].architecture, search.space().at(BigUint(i)));
      if (i % 2 == 0) search.tell(candidates[0].id, std::vector<double>{1.0});
    }
    EXPECT_TRUE(search.ask(1).empty());
    EXPECT_EQ(search.state().algorithm.counter, size);
  }
}

TEST(Exhaustive, SkipsWhatWasSeen) {
  fixture::World world(space_of_depths({1}));
  for (const std::uint64_t i : {0U, 1U, 3U, 17U}) {
    ASSERT_TRUE(world.context().claim(world.encoding.encode(world.space.at(BigUint(i)))));
  }
  Exhaustive exhaustive;
  std::vector<std::uint64_t> indices;
  while (const auto genotype = exhaustive.propose(world.context())) {
    indices.push_back(world.space.index(world.encoding.decode(*genotype)).low_uint64());
  }
  EXPECT_EQ(indices, (std::vector<std::uint64_t>{2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}));
}

TEST(Exhaustive, DoesNotDrawRandomNumbers) {
  Search search(SearchSpace(space_of_depths({2})), options());
  search.ask(100);
  EXPECT_EQ(search.state().random, Random(0).state());
}

TEST(Exhaustive, SpaceOfOne) {
  Search search(SearchSpace(space_of({2}, {16}, {2}, {32})), options());
  EXPECT_EQ(search.ask(5).size(), 1U);
  EXPECT_TRUE(search.ask(5).empty());
}

TEST(Exhaustive, StartsOnASpaceTooLargeToFinish) {
  std::vector<std::int64_t> d_ff;
  for (std::int64_t f = 64; f <= 4096; f += 64) d_ff.push_back(f);
  Search search(SearchSpace(space_of({32}, {512}, {2, 4, 8}, d_ff)), options());
  EXPECT_FALSE(search.space().size().fits_uint64());
  const std::vector<Candidate> candidates = search.ask(1000);
  ASSERT_EQ(candidates.size(), 1000U);
  EXPECT_EQ(candidates.back().architecture, search.space().at(BigUint(999)));
}

}  // namespace
}  // namespace lts
