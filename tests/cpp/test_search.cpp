#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

#include "lts/cost.hpp"
#include "lts/search.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::space_of;
using oracle::message_of;
using Values = std::vector<double>;
using Point = std::pair<double, double>;

/// 14,760 architectures.
SearchSpaceOptions small_space() {
  SearchSpaceOptions options = space_of({1, 2, 3, 4}, {32, 64}, {1, 2, 4}, {64, 128, 256});
  options.vocab_size = 100;
  options.n_positions = 64;
  return options;
}

/// More than 10^20 architectures of 16 layers and fewer.
SearchSpaceOptions large_space() {
  return space_of({4, 8, 12, 16}, {128, 256, 512}, {2, 4, 8}, {256, 512, 768, 1024, 1536, 2048});
}

Values evaluate(const Architecture& a) {
  return {static_cast<double>(decoder_params(a)), static_cast<double>(peak_memory_bytes(a))};
}

SearchOptions options_of(std::string_view algorithm, std::uint64_t seed = 0) {
  return {.objectives = {{"decoder_params", Direction::maximize}, {"peak_memory_bytes", Direction::minimize}},
          .constraints = {},
          .algorithm = algorithm_options(algorithm),
          .seed = seed};
}

Search search_of(SearchSpaceOptions space, SearchOptions options) {
  return {SearchSpace(std::move(space)), std::move(options)};
}

void tell(Search& search, const Candidate& candidate) { search.tell(candidate.id, evaluate(candidate.architecture)); }

std::uint64_t run(Search& search, std::uint64_t n) {
  return search.run(n, [](const Architecture& a, std::span<double> values) {
    const Values computed = evaluate(a);
    std::copy(computed.begin(), computed.end(), values.begin());
  });
}

std::set<Point> points_of(const std::vector<FrontMember>& front) {
  std::set<Point> points;
  for (const FrontMember& member : front) points.emplace(member.values[0], member.values[1]);
  return points;
}

/// By comparing all members of the space: most parameters, least memory; `feasible` decides who takes part.
std::set<Point> true_front(const SearchSpace& space, const std::function<bool(const Values&)>& feasible) {
  std::set<Point> all;
  for (std::uint64_t i = 0; i < space.size().low_uint64(); ++i) {
    const Values values = evaluate(space.at(BigUint(i)));
    if (feasible(values)) all.emplace(values[0], values[1]);
  }
  std::set<Point> front;
  for (const Point& a : all) {
    const bool dominated = std::any_of(
        all.begin(), all.end(), [&](const Point& b) { return b != a && b.first >= a.first && b.second <= a.second; });
    if (!dominated) front.insert(a);
  }
  return front;
}

// --- What holds for every algorithm ---

class EveryAlgorithm : public testing::TestWithParam<std::string_view> {
 protected:
  static bool enumerates() { return GetParam() == "exhaustive"; }
  static bool blind() { return GetParam() == "exhaustive" || GetParam() == "random"; }
};

INSTANTIATE_TEST_SUITE_P(Search, EveryAlgorithm, testing::ValuesIn(algorithm_names().begin(), algorithm_names().end()),
                         [](const auto& param_info) { return std::string(param_info.param); });

TEST_P(EveryAlgorithm, ReachesTheTrueFront) {
  Search search = search_of(small_space(), options_of(GetParam(), 7));
  const std::set<Point> expected = true_front(search.space(), [](const Values&) { return true; });
  ASSERT_GT(expected.size(), 10U);
  const std::uint64_t size = search.space().size().low_uint64();
  run(search, blind() ? size : size / 4);
  const std::set<Point> found = points_of(search.front());
  EXPECT_EQ(found, expected);
  EXPECT_EQ(search.archive().size(), expected.size());
}

TEST_P(EveryAlgorithm, ReachesTheTrueFrontUnderConstraints) {
  // Few are feasible, and none of the small or large ones.
  SearchOptions options = options_of(GetParam(), 2);
  options.constraints = {{"peak_memory_bytes", Constraint::Relation::at_most, 1.3e6},
                         {"decoder_params", Constraint::Relation::at_least, 1.2e5}};
  Search search = search_of(small_space(), options);
  const auto feasible = [](const Values& values) { return values[0] >= 1.2e5 && values[1] <= 1.3e6; };
  const std::set<Point> expected = true_front(search.space(), feasible);
  ASSERT_GT(expected.size(), 3U);
  const std::uint64_t size = search.space().size().low_uint64();
  run(search, blind() ? size : size / 4);
  EXPECT_EQ(points_of(search.front()), expected);
}

TEST_P(EveryAlgorithm, NothingFeasible) {
  SearchOptions options = options_of(GetParam());
  options.constraints = {{"decoder_params", Constraint::Relation::at_most, 1.0}};
  Search search = search_of(small_space(), options);
  EXPECT_EQ(run(search, 2000), 2000U);
  EXPECT_TRUE(search.front().empty());
  EXPECT_EQ(search.n_told(), 2000U);
}

TEST_P(EveryAlgorithm, UsesUpTheSpaceExactly) {
  SearchSpaceOptions space = small_space();
  space.n_layer = {1, 2, 3};
  for (const bool told : {true, false}) {
    Search search = search_of(space, options_of(GetParam(), 3));
    const std::uint64_t size = search.space().size().low_uint64();
    std::set<BigUint> indices;
    for (;;) {
      const std::vector<Candidate> candidates = search.ask(64);
      for (const Candidate& candidate : candidates) {
        ASSERT_TRUE(indices.insert(search.space().index(candidate.architecture)).second);
        if (told) tell(search, candidate);
      }
      if (candidates.size() < 64) break;
    }
    EXPECT_EQ(indices.size(), size);
    EXPECT_TRUE(search.ask(1).empty());
    EXPECT_EQ(run(search, 10), 0U);
    EXPECT_EQ(search.n_asked(), size);
  }
}

TEST_P(EveryAlgorithm, NoCandidateTwice) {
  Search search = search_of(large_space(), options_of(GetParam(), 5));
  std::set<Genotype> found;
  const Encoding encoding(search.space());
  for (int i = 0; i < 400; ++i) {
    for (const Candidate& candidate : search.ask(75)) {
      ASSERT_TRUE(search.space().contains(candidate.architecture));
      ASSERT_TRUE(found.insert(encoding.encode(candidate.architecture)).second);
      ASSERT_EQ(candidate.id + 1, found.size());
      tell(search, candidate);
    }
  }
  EXPECT_EQ(found.size(), 30'000U);
}

TEST_P(EveryAlgorithm, SameSeedSameCandidates) {
  Search a = search_of(large_space(), options_of(GetParam(), 11));
  Search b = search_of(large_space(), options_of(GetParam(), 11));
  Search c = search_of(large_space(), options_of(GetParam(), 12));
  bool differs = false;
  for (int i = 0; i < 500; ++i) {
    const Candidate candidate = a.ask(1).at(0);
    ASSERT_EQ(candidate.architecture, b.ask(1).at(0).architecture);
    const Candidate other = c.ask(1).at(0);
    differs = differs || !(candidate.architecture == other.architecture);
    tell(a, candidate);
    tell(b, candidate);
    tell(c, other);
  }
  EXPECT_EQ(a.state(), b.state());
  EXPECT_EQ(differs, !enumerates());
}

TEST_P(EveryAlgorithm, RunIsAskAndTell) {
  Search asked = search_of(large_space(), options_of(GetParam(), 4));
  Search ran = search_of(large_space(), options_of(GetParam(), 4));
  for (int i = 0; i < 700; ++i) tell(asked, asked.ask(1).at(0));
  EXPECT_EQ(run(ran, 300), 300U);
  EXPECT_EQ(run(ran, 400), 400U);
  EXPECT_EQ(asked.state(), ran.state());
}

TEST_P(EveryAlgorithm, LearnsFromResultsInAnyOrderWithFailures) {
  Search search = search_of(small_space(), options_of(GetParam(), 6));
  const std::set<Point> expected = true_front(search.space(), [](const Values&) { return true; });
  const std::uint64_t size = search.space().size().low_uint64();
  Random random(9);
  std::vector<Candidate> waiting;
  std::uint64_t n_failed = 0;
  std::set<Point> told;
  const std::uint64_t budget = blind() ? size : size / 2;
  while (search.n_asked() < budget || !waiting.empty()) {
    if (search.n_asked() < budget) {
      for (Candidate& candidate : search.ask(random.below(20))) waiting.push_back(std::move(candidate));
    }
    for (std::uint32_t n = random.below(20); n > 0 && !waiting.empty(); --n) {
      std::swap(waiting[random.below(static_cast<std::uint32_t>(waiting.size()))], waiting.back());
      if (random.bernoulli(0.05)) {
        search.tell_failed(waiting.back().id);
        ++n_failed;
      } else {
        tell(search, waiting.back());
        const Values values = evaluate(waiting.back().architecture);
        told.emplace(values[0], values[1]);
      }
      waiting.pop_back();
    }
  }
  EXPECT_EQ(search.n_failed(), n_failed);
  EXPECT_EQ(search.n_told() + search.n_failed(), search.n_asked());
  EXPECT_TRUE(search.pending().empty());
  // What failed is lost; everything else of the true front that was told is there, and most of it was.
  const std::set<Point> found = points_of(search.front());
  std::size_t n_reached = 0;
  for (const Point& point : expected) {
    if (!told.contains(point)) continue;
    ++n_reached;
    EXPECT_TRUE(found.contains(point));
  }
  EXPECT_GE(10 * n_reached, 8 * expected.size());
}

TEST_P(EveryAlgorithm, EverythingFails) {
  Search search = search_of(small_space(), options_of(GetParam()));
  for (int i = 0; i < 20; ++i) {
    for (const Candidate& candidate : search.ask(40)) search.tell_failed(candidate.id);
  }
  EXPECT_EQ(search.n_failed(), 800U);
  EXPECT_EQ(search.n_told(), 0U);
  EXPECT_TRUE(search.front().empty());
}

TEST_P(EveryAlgorithm, RestoredSearchGoesOnExactly) {
  for (const std::uint64_t seed : {1U, 2U, 3U, 4U, 5U, 6U}) {
    SearchOptions options = options_of(GetParam(), seed);
    if (GetParam() == "lts") options.algorithm = LtsEvolutionOptions{.population_size = 30, .n_mutants = 10};
    if (GetParam() == "nsga2") options.algorithm = Nsga2Options{.population_size = 20};
    if (seed % 2 == 0) options.constraints = {{"peak_memory_bytes", Constraint::Relation::at_most, 1e6}};
    if (seed % 3 == 0) options.constraints = {{"latency", Constraint::Relation::at_most, -1.0}};  // never feasible
    SearchSpaceOptions space = seed % 2 == 0 ? small_space() : large_space();
    if (seed == 4) space.decoder_params = {.min = 30'000, .max = 120'000};
    Search original = search_of(space, options);
    Search restored = search_of(space, options);
    Random random(100 + seed);
    std::vector<Candidate> waiting;
    for (int step = 0; step < 120; ++step) {
      const std::uint32_t n_ask = random.below(25);
      const std::vector<Candidate> asked = original.ask(n_ask);
      const std::vector<Candidate> again = restored.ask(n_ask);
      ASSERT_EQ(asked.size(), again.size());
      for (std::size_t i = 0; i < asked.size(); ++i) {
        ASSERT_EQ(asked[i].id, again[i].id);
        ASSERT_EQ(asked[i].architecture, again[i].architecture) << "step " << step;
        waiting.push_back(asked[i]);
      }
      for (std::uint32_t n = random.below(25); n > 0 && !waiting.empty(); --n) {
        std::swap(waiting[random.below(static_cast<std::uint32_t>(waiting.size()))], waiting.back());
        const std::uint64_t id = waiting.back().id;
        Values values = evaluate(waiting.back().architecture);
        if (seed % 3 == 0) values.push_back(values[0] / values[1]);
        waiting.pop_back();
        if (random.bernoulli(0.1)) {
          original.tell_failed(id);
          restored.tell_failed(id);
        } else {
          original.tell(id, values);
          restored.tell(id, values);
        }
      }
      if (random.bernoulli(0.3)) {
        const SearchState state = restored.state();
        restored = Search(state);
        ASSERT_EQ(restored.state(), state);
        ASSERT_EQ(original.state(), state);
      }
    }
    EXPECT_EQ(original.state(), restored.state());
  }
}

TEST_P(EveryAlgorithm, MovedSearchGoesOn) {
  Search stays = search_of(small_space(), options_of(GetParam(), 8));
  Search moves = search_of(small_space(), options_of(GetParam(), 8));
  run(stays, 150);
  run(moves, 150);
  std::vector<Search> elsewhere;
  elsewhere.push_back(std::move(moves));
  run(stays, 150);
  run(elsewhere.front(), 150);
  EXPECT_EQ(stays.state(), elsewhere.front().state());
}

// The first 500 candidates, the same on every platform. A change of any draw changes them: then say so in the
// changelog, for saved seeds give other searches from there on.
TEST_P(EveryAlgorithm, GoldenSequence) {
  const std::map<std::string_view, std::uint64_t> golden{{"lts", 0xf410ffad624fb3e9ULL},
                                                         {"nsga2", 0xa5ae787dcd02a4caULL},
                                                         {"local", 0xf4295d1eeeb63a8aULL},
                                                         {"random", 0x304d4ee6e9ad3c81ULL},
                                                         {"exhaustive", 0xd77f95956b687bd2ULL}};
  Search search = search_of(large_space(), options_of(GetParam(), 2022));
  const Encoding encoding(search.space());
  std::uint64_t hash = 0;
  for (int i = 0; i < 50; ++i) {
    for (const Candidate& candidate : search.ask(10)) {
      hash = hash * 0x100000001b3ULL + hash_of(encoding.encode(candidate.architecture));
      tell(search, candidate);
    }
  }
  EXPECT_EQ(hash, golden.at(GetParam())) << std::hex << hash;
}

// --- Names and options ---

TEST(SearchOptions, NamesOfAlgorithms) {
  for (const std::string_view name : algorithm_names()) EXPECT_EQ(algorithm_name(algorithm_options(name)), name);
  EXPECT_TRUE(std::holds_alternative<LtsEvolutionOptions>(algorithm_options("lts")));
  EXPECT_TRUE(std::holds_alternative<Nsga2Options>(algorithm_options("nsga2")));
  EXPECT_TRUE(std::holds_alternative<LocalSearchOptions>(algorithm_options("local")));
  EXPECT_TRUE(std::holds_alternative<RandomSearchOptions>(algorithm_options("random")));
  EXPECT_TRUE(std::holds_alternative<ExhaustiveOptions>(algorithm_options("exhaustive")));
  const std::string reason = message_of([] { algorithm_options("simplex"); });
  EXPECT_NE(reason.find("'simplex'"), std::string::npos) << reason;
  EXPECT_NE(reason.find("lts, nsga2, local, random, exhaustive"), std::string::npos) << reason;
}

TEST(SearchOptions, Refused) {
  const auto refused = [](const std::function<void(SearchOptions&)>& change) {
    SearchOptions options = options_of("lts");
    change(options);
    return message_of([&] { search_of(small_space(), options); });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  using Relation = Constraint::Relation;
  EXPECT_NE(refused([](SearchOptions& o) { o.objectives.clear(); }).find("no objective"), std::string::npos);
  EXPECT_NE(refused([](SearchOptions& o) { o.objectives[0].name = ""; }).find("no name"), std::string::npos);
  EXPECT_NE(refused([](SearchOptions& o) { o.objectives[1].name = "decoder_params"; }).find("'decoder_params'"),
            std::string::npos);
  EXPECT_NE(refused([](SearchOptions& o) {
              o.constraints = {{"", Relation::at_most, 1}};
            }).find("no name"),
            std::string::npos);
  EXPECT_NE(refused([&](SearchOptions& o) {
              o.constraints = {{"a", Relation::at_most, nan}};
            }).find("'a'"),
            std::string::npos);
  EXPECT_NE(refused([&](SearchOptions& o) {
              o.constraints = {{"a", Relation::at_least, infinity}};
            }).find("'a'"),
            std::string::npos);
  EXPECT_NE(refused([](SearchOptions& o) { o.algorithm = LtsEvolutionOptions{.n_parents = 0}; }).find("n_parents"),
            std::string::npos);
  EXPECT_NE(refused([](SearchOptions& o) { o.algorithm = LocalSearchOptions{.n_initial = 0}; }).find("n_initial"),
            std::string::npos);
  EXPECT_EQ(refused([](SearchOptions&) {}), "");
  // Two bounds on one column are a range.
  EXPECT_EQ(refused([](SearchOptions& o) {
              o.constraints = {{"a", Relation::at_most, 2}, {"a", Relation::at_least, 1}};
            }),
            "");
}

TEST(SearchOptions, TooManyNamesAndChildren) {
  SearchOptions options = options_of("lts");
  for (int i = 0; i < 1000; ++i) options.objectives.push_back({"o" + std::to_string(i), Direction::minimize});
  EXPECT_EQ(message_of([&] { search_of(small_space(), options); }),
            "search: 1002 objectives and 0 constraints; there may be up to 1000 of each");
  options = options_of("lts");
  options.algorithm = LtsEvolutionOptions{.n_mutants = 1'000'000, .n_crossovers = 1'000'000};
  EXPECT_EQ(message_of([&] { search_of(small_space(), options); }), "");
  SearchSpaceOptions deep = small_space();
  deep.n_layer = {max_layers};
  EXPECT_EQ(message_of([&] { search_of(deep, options); }),
            "algorithm lts: a generation of 2000000 children with 8193 genes each is too large; it may have up to "
            "536870912 genes in all");
}

// --- Ask and tell ---

TEST(Search, ColumnsAndDirections) {
  SearchOptions options = options_of("random");
  options.constraints = {{"latency_ms", Constraint::Relation::at_most, 5.0},
                         {"decoder_params", Constraint::Relation::at_least, 10.0}};
  Search search = search_of(small_space(), options);
  EXPECT_EQ(std::vector<std::string>(search.columns().begin(), search.columns().end()),
            (std::vector<std::string>{"decoder_params", "peak_memory_bytes", "latency_ms"}));
  EXPECT_EQ(search.options(), options);
  const std::vector<Candidate> candidates = search.ask(5);
  search.tell(candidates[0].id, Values{100, 50, 4});
  search.tell(candidates[1].id, Values{200, 10, 5.5});  // too slow
  search.tell(candidates[2].id, Values{5, 1, 1});       // too small
  search.tell(candidates[3].id, Values{10, 20, 5});     // on both bounds
  search.tell(candidates[4].id, Values{99, 51, 4});     // dominated
  EXPECT_EQ(search.n_told(), 5U);

  const std::vector<FrontMember> front = search.front();
  ASSERT_EQ(front.size(), 2U);
  const std::size_t first = front[0].id == candidates[0].id ? 0 : 1;
  EXPECT_EQ(front[first].values, (Values{100, 50}));
  EXPECT_EQ(front[first].architecture, candidates[0].architecture);
  EXPECT_EQ(front[1 - first].id, candidates[3].id);
  EXPECT_EQ(front[1 - first].values, (Values{10, 20}));
  ASSERT_EQ(search.archive().ids()[first], candidates[0].id);
  EXPECT_EQ(search.archive().point(first)[0], -100.0);
  EXPECT_EQ(search.archive().point(first)[1], 50.0);
}

TEST(Search, CountsAndPending) {
  Search search = search_of(small_space(), options_of("random"));
  EXPECT_TRUE(search.ask(0).empty());
  const std::vector<Candidate> candidates = search.ask(4);
  search.tell_failed(candidates[1].id);
  tell(search, candidates[2]);
  EXPECT_EQ(search.n_asked(), 4U);
  EXPECT_EQ(search.n_told(), 1U);
  EXPECT_EQ(search.n_failed(), 1U);
  const std::vector<Candidate> pending = search.pending();
  ASSERT_EQ(pending.size(), 2U);
  EXPECT_EQ(pending[0].id, 0U);
  EXPECT_EQ(pending[1].id, 3U);
  EXPECT_EQ(pending[1].architecture, candidates[3].architecture);
}

TEST(Search, OneAtATimeAsManyAtOnce) {
  Search many = search_of(large_space(), options_of("lts", 3));
  Search single = search_of(large_space(), options_of("lts", 3));
  Architecture out;
  std::uint64_t id = 0;
  for (const Candidate& candidate : many.ask(20)) {
    EXPECT_EQ(single.ask(out), candidate.id);
    EXPECT_EQ(out, candidate.architecture);
  }
  for (const std::uint64_t told : {0U, 5U, 6U}) {
    ASSERT_TRUE(single.next_pending(told, out, id));
    EXPECT_EQ(id, told);
    single.tell(id, evaluate(out));
  }
  EXPECT_EQ(single.n_pending(), 17U);
  ASSERT_TRUE(single.next_pending(5, out, id));
  EXPECT_EQ(id, 7U);
  EXPECT_EQ(out, single.pending()[4].architecture);
  EXPECT_FALSE(single.next_pending(20, out, id));
  const auto front = single.front();
  for (std::size_t i = 0; i < front.size(); ++i) EXPECT_EQ(single.front(i).id, front[i].id);
  EXPECT_EQ(message_of([&] { static_cast<void>(single.front(front.size())); }),
            "front: there is no member " + std::to_string(front.size()) + "; it has " + std::to_string(front.size()) +
                ", from 0");
}

TEST(Search, RefusedResultsChangeNothing) {
  Search search = search_of(small_space(), options_of("lts"));
  EXPECT_EQ(message_of([&] { search.tell(0, Values{1, 2}); }), "candidate 0 is unknown; none was asked for yet");
  search.ask(3);
  search.tell(1, Values{1, 2});
  const SearchState before = search.state();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(message_of([&] { search.tell(3, Values{1, 2}); }), "candidate 3 is unknown; ids so far are 0 to 2");
  EXPECT_EQ(message_of([&] { search.tell(1, Values{1, 2}); }), "candidate 1 was already told");
  EXPECT_EQ(message_of([&] { search.tell_failed(1); }), "candidate 1 was already told");
  EXPECT_EQ(message_of([&] { search.tell_failed(9); }), "candidate 9 is unknown; ids so far are 0 to 2");
  EXPECT_EQ(message_of([&] { search.tell(0, Values{1}); }),
            "candidate 0: 1 values were told; the 2 columns need one each");
  EXPECT_EQ(message_of([&] {
              search.tell(0, Values{1, 2, 3});
            }),
            "candidate 0: 3 values were told; the 2 columns need one each");
  EXPECT_EQ(message_of([&] {
              search.tell(0, Values{1, nan});
            }),
            "candidate 0: column 'peak_memory_bytes' is nan; it must be a finite number");
  EXPECT_EQ(message_of([&] {
              search.tell(2, Values{-infinity, 1});
            }),
            "candidate 2: column 'decoder_params' is -inf; it must be a finite number");
  EXPECT_EQ(search.state(), before);
}

TEST(Search, ViolationStaysFinite) {
  SearchOptions options = options_of("lts");
  options.constraints = {{"decoder_params", Constraint::Relation::at_most, -1e308},
                         {"peak_memory_bytes", Constraint::Relation::at_most, 0}};
  Search search = search_of(small_space(), options);
  search.ask(1);
  const double most = std::numeric_limits<double>::max();
  search.tell(0, Values{most, most});
  ASSERT_EQ(search.state().algorithm.population.size(), 1U);
  EXPECT_LE(search.state().algorithm.population[0].violation, most);
}

// --- Run ---

TEST(SearchRun, EvaluatorThatThrowsLeavesTheCandidatePending) {
  Search search = search_of(small_space(), options_of("lts"));
  int n = 0;
  const auto stop = [&](const Architecture& a, std::span<double> values) {
    if (++n == 11) throw std::runtime_error("stop");
    const Values computed = evaluate(a);
    std::copy(computed.begin(), computed.end(), values.begin());
  };
  EXPECT_THROW(search.run(100, stop), std::runtime_error);
  EXPECT_EQ(search.n_asked(), 11U);
  EXPECT_EQ(search.n_told(), 10U);
  ASSERT_EQ(search.pending().size(), 1U);
  EXPECT_EQ(search.pending()[0].id, 10U);
  EXPECT_EQ(Search(search.state()).state(), search.state());
  tell(search, search.pending()[0]);
  EXPECT_EQ(run(search, 5), 5U);
}

TEST(SearchRun, EveryColumnMustBeFilled) {
  Search search = search_of(small_space(), options_of("lts"));
  const auto forgets = [](const Architecture&, std::span<double> values) { values[0] = 1.0; };
  EXPECT_NE(message_of([&] { search.run(1, forgets); }).find("'peak_memory_bytes'"), std::string::npos);
  EXPECT_EQ(search.pending().size(), 1U);
  EXPECT_NE(message_of([&] { search.run(1, nullptr); }), "");
}

TEST(SearchRun, EvaluatorMayUseTheSearch) {
  Search search = search_of(small_space(), options_of("lts"));
  std::vector<Candidate> inside;
  search.run(50, [&](const Architecture& a, std::span<double> values) {
    for (Candidate& candidate : search.ask(1)) inside.push_back(std::move(candidate));
    if (inside.size() > 3) {
      tell(search, inside.back());
      inside.pop_back();
    }
    const Values computed = evaluate(a);
    std::copy(computed.begin(), computed.end(), values.begin());
  });
  EXPECT_EQ(search.n_asked(), 100U);
  EXPECT_EQ(search.pending().size(), 3U);
  EXPECT_EQ(Search(search.state()).state(), search.state());
}

// --- Restoring ---

/// Pending, queued, told, failed and infeasible candidates, and members of the front that were parents.
SearchState busy_state(std::string_view algorithm = "lts") {
  Search search = search_of(small_space(), options_of(algorithm, 1));
  for (int i = 0; i < 30; ++i) {
    for (const Candidate& candidate : search.ask(10)) {
      if (candidate.id % 7 == 3) {
        search.tell_failed(candidate.id);
      } else if (candidate.id % 50 != 0) {
        tell(search, candidate);
      }
    }
  }
  return search.state();
}

TEST(SearchState, ContradictionsAreRefused) {
  const SearchState good = busy_state();
  ASSERT_EQ(message_of([&] { const Search search(good); }), "");
  ASSERT_GT(good.pending.size(), 2U);
  ASSERT_GT(good.algorithm.queue.size(), 2U);
  ASSERT_GT(good.front.size(), 2U);
  ASSERT_GT(good.algorithm.uses.size(), 2U);
  const double nan = std::numeric_limits<double>::quiet_NaN();

  struct Change {
    std::string reason;
    std::function<void(SearchState&)> make;
  };
  const std::vector<Change> changes{
      {"random state", [](SearchState& s) { s.random = {}; }},
      {"no objective", [](SearchState& s) { s.options.objectives.clear(); }},
      {"n_parents", [](SearchState& s) { s.options.algorithm = LtsEvolutionOptions{.n_parents = 0}; }},
      {"n_layer", [](SearchState& s) { s.space.n_layer.clear(); }},
      {"next_id", [](SearchState& s) { ++s.next_id; }},
      {"next_id", [](SearchState& s) { s.next_id = 0; }},
      {"next_id", [](SearchState& s) { ++s.n_told; }},
      {"next_id", [](SearchState& s) { s.n_told = std::numeric_limits<std::uint64_t>::max(); }},
      {"next_id", [](SearchState& s) { s.n_failed = std::numeric_limits<std::uint64_t>::max() - 3; }},
      {"next_id", [](SearchState& s) { s.pending.pop_back(); }},
      {"seen must be ascending", [](SearchState& s) { std::swap(s.seen[3], s.seen[4]); }},
      {"seen must be ascending", [](SearchState& s) { s.seen[4] = s.seen[3]; }},
      {"seen must be ascending", [](SearchState& s) { s.seen[0] = 0; }},
      {"seen must have", [](SearchState& s) { s.seen.pop_back(); }},
      {"seen must have", [](SearchState& s) { s.algorithm.queue.pop_back(); }},
      {"pending candidate", [](SearchState& s) { s.pending[1].first = s.pending[0].first; }},
      {"pending candidate", [](SearchState& s) { s.pending.back().first = s.next_id; }},
      {"pending candidate", [](SearchState& s) { std::swap(s.pending[0], s.pending[1]); }},
      {"genotype comes twice", [](SearchState& s) { s.pending[0].second = s.pending[1].second; }},
      {"genotype comes twice", [](SearchState& s) { s.algorithm.queue[0] = s.pending[1].second; }},
      {"genotype comes twice", [](SearchState& s) { s.front[0].genotype = s.pending[1].second; }},
      {"genotype comes twice", [](SearchState& s) { s.front[0].genotype = s.front[1].genotype; }},
      {"not in the space", [](SearchState& s) { s.pending[0].second.pop_back(); }},
      {"not in the space", [](SearchState& s) { s.pending[0].second.clear(); }},
      {"not in the space", [](SearchState& s) { s.pending[0].second[2] = 1000; }},
      {"not in the space", [](SearchState& s) { s.algorithm.queue[0].push_back(0); }},
      {"not in the space", [](SearchState& s) { s.algorithm.queue[0][0] = 0xFFFF; }},
      {"not in the space", [](SearchState& s) { s.front[0].genotype.resize(1); }},
      {"not in the space", [](SearchState& s) { s.space.decoder_params.max = 60'000; }},
      {"not in the space",
       [](SearchState& s) {
         s.space.n_head = {1, 2};
       }},
      {"not among seen",
       [](SearchState& s) { ++*std::find(s.seen.begin(), s.seen.end(), hash_of(s.pending[0].second)); }},
      {"absent layers",
       [](SearchState& s) {
         for (auto& [id, genotype] : s.pending) {
           if (genotype[1] == 3) continue;
           genotype.back() = 1;
           return;
         }
         FAIL() << "no shallow candidate is pending";
       }},
      {"ids must be below next_id", [](SearchState& s) { s.front[0].id = s.next_id; }},
      {"is pending", [](SearchState& s) { s.front[0].id = s.pending[0].first; }},
      {"front: an id comes twice", [](SearchState& s) { s.front[0].id = s.front[1].id; }},
      {"objectives", [](SearchState& s) { s.front[0].values.pop_back(); }},
      {"objectives", [](SearchState& s) { s.front[0].values.clear(); }},
      {"objectives",
       [](SearchState& s) {
         s.options.objectives.push_back({"third", Direction::minimize});
       }},
      {"values must be finite", [&](SearchState& s) { s.front[0].values[1] = nan; }},
      {"violation must be finite", [&](SearchState& s) { s.front[0].violation = nan; }},
      {"violation must be finite", [](SearchState& s) { s.front[0].violation = -1.0; }},
      {"violates the constraints", [](SearchState& s) { s.front[0].violation = 1.0; }},
      {"dominates or equals",
       [](SearchState& s) {
         s.front[0].values = {-1e300, -1e300};
       }},
      {"dominates or equals",
       [](SearchState& s) {
         s.front[0].values = {1e300, 1e300};
       }},
      {"dominates or equals", [](SearchState& s) { s.front[0].values = s.front[1].values; }},
      {"uses", [](SearchState& s) { std::swap(s.algorithm.uses[0], s.algorithm.uses[1]); }},
      {"uses", [](SearchState& s) { s.algorithm.uses[1].first = s.algorithm.uses[0].first; }},
      {"uses", [](SearchState& s) { s.algorithm.uses.back().first = s.next_id; }},
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SearchState state = good;
    changes[i].make(state);
    const std::string reason = message_of([&] { const Search search(state); });
    EXPECT_NE(reason.find(changes[i].reason), std::string::npos)
        << "change " << i << ", expected '" << changes[i].reason << "', got '" << reason << "'";
  }
}

TEST(SearchState, ContradictingPopulationsAreRefused) {
  SearchState good = busy_state("nsga2");
  ASSERT_GT(good.algorithm.population.size(), 2U);
  ASSERT_GT(good.algorithm.offspring.size(), 2U);
  ASSERT_EQ(message_of([&] { const Search search(good); }), "");
  const std::vector<std::function<void(AlgorithmState&)>> changes{
      [](AlgorithmState& s) { s.population[0].genotype.clear(); },
      [](AlgorithmState& s) { s.population[1].values.clear(); },
      [](AlgorithmState& s) { s.population[1].values[0] = std::numeric_limits<double>::infinity(); },
      [](AlgorithmState& s) { s.population[1].id = s.population[0].id; },
      [](AlgorithmState& s) { s.population[1].id = s.offspring[0].id; },
      [](AlgorithmState& s) { s.population[1].id = 0; },  // pending
      [](AlgorithmState& s) { s.offspring[0].id = 1'000'000; },
      [](AlgorithmState& s) { s.offspring[0].violation = -1.0; },
      [](AlgorithmState& s) { s.offspring[0].genotype[0] = 77; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    SearchState state = good;
    changes[i](state.algorithm);
    EXPECT_NE(message_of([&] { const Search search(state); }), "") << "change " << i;
  }
}

TEST(SearchState, WhatIsPendingAndUnexploredIsSavedAgain) {
  SearchState state = busy_state("local");
  ASSERT_FALSE(state.pending.empty());
  const std::uint64_t id = state.pending.back().first;
  auto& uses = state.algorithm.uses;
  const std::pair<std::uint64_t, std::uint64_t> unexplored{id, 0};
  uses.insert(std::upper_bound(uses.begin(), uses.end(), unexplored), unexplored);
  Search search(state);
  search.tell(id, Values{1e300, 0.0});  // the whole front
  EXPECT_EQ(message_of([&] { const Search again(search.state()); }), "");
}

TEST(SearchState, FrontLargerThanWhatWasTold) {
  SearchState state = busy_state();
  state.n_failed += state.n_told - 1;
  state.n_told = 1;
  EXPECT_NE(message_of([&] { const Search search(state); }).find("front has more"), std::string::npos);
}

TEST(SearchState, FreshAndUsedUp) {
  const SearchState fresh = search_of(small_space(), options_of("lts", 3)).state();
  EXPECT_EQ(Search(fresh).state(), fresh);
  SearchSpaceOptions space = small_space();
  space.n_layer = {1};
  Search search = search_of(space, options_of("lts"));
  run(search, 1000);
  Search restored(search.state());
  EXPECT_EQ(restored.state(), search.state());
  EXPECT_TRUE(restored.ask(1).empty());
  EXPECT_EQ(points_of(restored.front()), points_of(search.front()));
}

TEST(Search, CandidatesOfTheCallersOwn) {
  const SearchSpace space({.name = "tiny", .n_layer = {1, 2}, .d_model = {8}, .n_head = {1, 2}, .d_ff = {8, 16}});
  Search search(space, {.objectives = {{"cost", Direction::minimize}}, .seed = 3});
  const Architecture first = space.at(BigUint(4));
  const auto id = search.add(first);
  ASSERT_TRUE(id.has_value());
  EXPECT_FALSE(search.add(first).has_value()) << "it was proposed before";
  ASSERT_EQ(search.pending().size(), 1U);
  EXPECT_EQ(search.pending()[0].architecture, first);
  search.tell(*id, std::vector<double>{1.0});
  EXPECT_EQ(search.front().at(0).architecture, first);
  // The algorithm does not propose it again, and a saved search knows of it.
  Search again(search.state());
  for (Search* s : {&search, &again}) {
    EXPECT_EQ(s->n_told(), 1U);
    EXPECT_FALSE(s->add(first).has_value());
    for (const Candidate& c : s->ask(1000)) EXPECT_NE(c.architecture, first);
    EXPECT_EQ(BigUint(s->n_asked()), space.size());
  }
  Architecture other = first;
  other.d_model = 16;
  EXPECT_NE(oracle::message_of([&] { (void)search.add(other); }).find("d_model"), std::string::npos);
}

TEST(Search, InitialCandidatesOfTheCallersOwnAreTheFirstPopulation) {
  const SearchSpace space({.name = "tiny", .n_layer = {3}, .d_model = {8}, .n_head = {1, 2}, .d_ff = {8, 16}});
  for (const std::string_view name : {"lts", "nsga2", "local"}) {
    for (const bool initial : {false, true}) {
      AlgorithmOptions algorithm = algorithm_options(name);
      for (AlgorithmOption& option : describe(algorithm).options) {
        if (option.name == "population_size" || option.name == "n_initial") *std::get<std::uint32_t*>(option.value) = 4;
      }
      Search search(space, {.objectives = {{"cost", Direction::minimize}}, .algorithm = algorithm, .seed = 3});
      for (std::uint64_t i = 0; i < 4; ++i) {
        search.tell(search.add(space.at(BigUint(i)), initial).value(), std::vector<double>{static_cast<double>(i)});
      }
      EXPECT_EQ(search.state().algorithm.counter, initial ? 4U : 0U);
      (void)search.ask(1);  // bred from them, and so the rest of a generation waits; a random one has none
      EXPECT_EQ(search.state().algorithm.queue.empty(), !initial) << name;
    }
  }
}

}  // namespace
}  // namespace lts
