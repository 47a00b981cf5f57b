// What holds for every row of the table of algorithms, and that what is done by name reads it.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "lts/error.hpp"
#include "lts/json.hpp"
#include "search_fixture.hpp"

namespace lts {
namespace {

using fixture::space_of_depths;
using oracle::message_of;

/// The same numbers by another way: of each algorithm, the name of an option, its default, and what is allowed.
struct Expected {
  std::string_view name;
  double value = 0.0;
  double minimum = 0.0;
  double maximum = 0.0;
};
const std::map<std::string_view, std::vector<Expected>>& expected() {
  static const std::map<std::string_view, std::vector<Expected>> all{
      {"lts",
       {{"population_size", 100, 1, 1e6},
        {"n_parents", 20, 1, 1e6},
        {"n_mutants", 40, 0, 1e6},
        {"n_crossovers", 40, 0, 1e6},
        {"mutation_probability", 0.3, 0, 1},
        {"crossover_probability", 0.5, 0, 1}}},
      {"nsga2",
       {{"population_size", 100, 2, 1e6}, {"crossover_probability", 0.9, 0, 1}, {"mutation_probability", 0, 0, 1}}},
      {"local", {{"n_initial", 20, 1, 4294967295}}},
      {"random", {}},
      {"exhaustive", {}}};
  return all;
}

/// An option by its name.
AlgorithmOption option_of(AlgorithmOptions& options, std::string_view name) {
  for (const AlgorithmOption& option : describe(options).options) {
    if (option.name == name) return option;
  }
  throw std::out_of_range("no such option");
}

double value_of(const AlgorithmOption& option) {
  return std::visit([](const auto* value) { return static_cast<double>(*value); }, option.value);
}

void set(const AlgorithmOption& option, double x) {
  std::visit([x](auto* value) { *value = static_cast<std::remove_reference_t<decltype(*value)>>(x); }, option.value);
}

bool is_count(const AlgorithmOption& option) { return std::holds_alternative<std::uint32_t*>(option.value); }

std::string text_of(const AlgorithmOption& option, double x) {
  return is_count(option) ? std::to_string(static_cast<std::uint64_t>(x)) : to_text(x);
}

bool is_sentence(std::string_view text) {
  return text.size() > 10 && text.size() < 100 && text.back() == '.' && text.find('\n') == std::string_view::npos;
}

class EveryRow : public testing::TestWithParam<std::string_view> {
 protected:
  AlgorithmOptions options_ = algorithm_options(GetParam());

  /// A value that is allowed and not the default, such that all together are allowed, too.
  static double another(const AlgorithmOption& option) {
    return is_count(option) ? value_of(option) + 7 : 0.5 * (value_of(option) + option.maximum);
  }
  [[nodiscard]] SearchOptions search() const {
    return {.objectives = {{.name = "x"}}, .constraints = {}, .algorithm = options_, .seed = 5};
  }
};

INSTANTIATE_TEST_SUITE_P(Algorithms, EveryRow, testing::ValuesIn(algorithm_names().begin(), algorithm_names().end()),
                         [](const auto& param_info) { return std::string(param_info.param); });

TEST_P(EveryRow, HasTheDocumentedNamesDefaultsAndRanges) {
  const AlgorithmDescription description = describe(options_);
  EXPECT_TRUE(is_sentence(description.doc)) << description.doc;
  const std::vector<Expected>& options = expected().at(GetParam());
  ASSERT_EQ(description.options.size(), options.size());
  for (std::size_t i = 0; i < options.size(); ++i) {
    const AlgorithmOption& option = description.options[i];
    EXPECT_EQ(option.name, options[i].name);
    EXPECT_EQ(value_of(option), options[i].value) << option.name;
    EXPECT_EQ(option.minimum, options[i].minimum) << option.name;
    EXPECT_EQ(option.maximum, options[i].maximum) << option.name;
    EXPECT_TRUE(is_sentence(option.doc)) << option.doc;
  }
}

TEST_P(EveryRow, MakesItsAlgorithm) {
  EXPECT_EQ(algorithm_name(options_), GetParam());
  const std::unique_ptr<Algorithm> algorithm = make_algorithm(options_);
  fixture::World world(space_of_depths({2}));
  EXPECT_TRUE(algorithm->propose(world.context()));
}

TEST_P(EveryRow, OptionsPointIntoWhatIsDescribed) {
  for (const AlgorithmOption& option : describe(options_).options) {
    const AlgorithmOptions before = options_;
    const double x = another(option);
    set(option, x);
    EXPECT_EQ(value_of(option_of(options_, option.name)), x) << option.name;
    EXPECT_NE(options_, before) << option.name;
    options_ = before;
  }
}

TEST_P(EveryRow, TheEndsOfTheRangesAreAllowed) {
  for (const AlgorithmOption& option : describe(options_).options) {
    const AlgorithmOptions before = options_;
    for (const double end : {option.minimum, option.maximum}) {
      set(option, end);
      EXPECT_NO_THROW(make_algorithm(options_)) << option.name << " " << end;
    }
    options_ = before;
  }
}

TEST_P(EveryRow, OutOfRangeIsRefusedWithWhatWhereAndTheRange) {
  for (const AlgorithmOption& option : describe(options_).options) {
    std::vector<double> wrong;
    if (is_count(option)) {
      if (option.minimum > 0) wrong.push_back(option.minimum - 1);
      if (option.maximum < std::numeric_limits<std::uint32_t>::max()) wrong.push_back(option.maximum + 1);
    } else {
      wrong = {option.minimum - 0.25, option.maximum + 0.25, std::numeric_limits<double>::quiet_NaN()};
    }
    EXPECT_FALSE(wrong.empty()) << option.name;
    const AlgorithmOptions before = options_;
    for (const double x : wrong) {
      set(option, x);
      const std::string expected = "algorithm " + std::string(GetParam()) + ": " + std::string(option.name) + " is " +
                                   text_of(option, x) + "; allowed are " + text_of(option, option.minimum) + " to " +
                                   text_of(option, option.maximum);
      EXPECT_EQ(message_of([&] { make_algorithm(options_); }), expected);
      EXPECT_EQ(message_of([&] { const Search refused(SearchSpace(space_of_depths({2})), search()); }), expected);
    }
    options_ = before;
  }
}

TEST_P(EveryRow, ComesBackFromJson) {
  EXPECT_EQ(algorithm_options_from_json(R"({"name":")" + std::string(GetParam()) + "\"}"), options_);
  for (const AlgorithmOption& option : describe(options_).options) set(option, another(option));
  const Search search(SearchSpace(space_of_depths({2})), this->search());
  const std::string text = to_json(search.state());
  const SearchState back = search_state_from_json(text);
  EXPECT_EQ(back.options.algorithm, options_);
  EXPECT_EQ(to_json(back), text);
}

TEST_P(EveryRow, ItsOptionsAreItsKeysInJson) {
  std::string allowed = "name";
  std::ostringstream all;
  all << R"({"name":")" << GetParam() << '"';
  for (const AlgorithmOption& option : describe(options_).options) {
    allowed.append(", ").append(option.name);
    const double x = another(option);
    set(option, x);
    all << ",\"" << option.name << "\":" << text_of(option, x);
  }
  all << '}';
  EXPECT_EQ(algorithm_options_from_json(all.str()), options_);
  const std::string unknown = R"({"name":")" + std::string(GetParam()) + R"(","nothing":1})";
  EXPECT_EQ(message_of([&] { algorithm_options_from_json(unknown); }),
            "algorithm: unknown key 'nothing'; allowed: " + allowed);
}

TEST_P(EveryRow, ChildrenAreBredAsManyAtOnceAsItSays) {
  // As many architectures are claimed when the first of a generation is asked for.
  const std::uint64_t n_children = describe(options_).n_children;
  Search search(SearchSpace(space_of_depths({16})), this->search());
  std::size_t most = 0;
  for (int i = 0; i < 400; ++i) {
    const std::size_t before = search.state().algorithm.queue.size();
    const Candidate candidate = search.ask(1).at(0);
    const std::size_t after = search.state().algorithm.queue.size();
    if (after > before) most = std::max(most, after - before + 1);
    search.tell(candidate.id, std::vector<double>{static_cast<double>(candidate.architecture.layers[0].d_ff + i % 7)});
  }
  if (GetParam() == "local") {
    EXPECT_EQ(n_children, 0U);  // a neighborhood is as large as the space is wide, whatever the options
  } else {
    EXPECT_EQ(most, n_children);
  }
}

TEST_P(EveryRow, WhatItDoesNotRememberIsRefused) {
  const std::unique_ptr<Algorithm> algorithm = make_algorithm(options_);
  const std::vector<Evaluation> some{{.id = 3, .genotype = {1}, .values = {1.0}}};
  const std::vector<std::pair<std::string, AlgorithmState>> states{
      {"counter", {.counter = 1}},        {"queue", {.queue = {{1}}}},  {"population", {.population = some}},
      {"offspring", {.offspring = some}}, {"uses", {.uses = {{3, 2}}}}, {"uses", {.uses = {{3, 0}}}}};
  for (const auto& [name, state] : states) {
    const std::string reason = message_of([&, &given = state] { algorithm->restore(given); });
    if (reason.empty()) {
      EXPECT_EQ(algorithm->save(), state) << name;
    } else {
      EXPECT_EQ(reason, "search state: " + name + ": the algorithm of the search remembers no such thing");
    }
    algorithm->restore({});
    EXPECT_EQ(algorithm->save(), AlgorithmState{});
  }
}

TEST(AlgorithmTable, WhatEachRemembers) {
  const auto refuses = [](std::string_view name, const AlgorithmState& state) {
    const std::unique_ptr<Algorithm> algorithm = make_algorithm(algorithm_options(name));
    return !message_of([&] { algorithm->restore(state); }).empty();
  };
  for (const std::string_view name : algorithm_names()) {
    EXPECT_EQ(refuses(name, {.counter = 1}), name == "random") << name;
    EXPECT_EQ(refuses(name, {.queue = {{1}}}), name == "random" || name == "exhaustive") << name;
    EXPECT_EQ(refuses(name, {.offspring = {{}}}), name != "nsga2") << name;
    EXPECT_EQ(refuses(name, {.uses = {{3, 2}}}), name != "lts") << name;
    EXPECT_EQ(refuses(name, {.uses = {{3, 0}}}), name != "lts" && name != "local") << name;
  }
}

TEST(AlgorithmTable, NamesAreThoseExpectedAndDiffer) {
  std::set<std::string_view> names;
  for (const std::string_view name : algorithm_names()) EXPECT_TRUE(names.insert(name).second) << name;
  std::set<std::string_view> known;
  for (const auto& [name, options] : expected()) known.insert(name);
  EXPECT_EQ(names, known);
  EXPECT_EQ(algorithm_names().size(), std::variant_size_v<AlgorithmOptions>);
}

}  // namespace
}  // namespace lts
