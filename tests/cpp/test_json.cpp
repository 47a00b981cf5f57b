#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <lts/json.hpp>
#include <sstream>

#include "message.hpp"

namespace {

using lts::Architecture;
using lts::Random;
using lts::SearchSpaceOptions;
using lts::SearchState;
using lts::oracle::message_of;

std::string golden(const std::string& name) {
  std::ifstream file(std::filesystem::path(__FILE__).parent_path().parent_path() / "golden" / (name + ".json"));
  std::string line;
  EXPECT_TRUE(std::getline(file, line)) << "tests/golden/" << name << ".json cannot be read";
  return line;
}

std::string architecture_error(std::string_view text) {
  return message_of([&] { lts::architecture_from_json(text); });
}
std::string space_error(std::string_view text) {
  return message_of([&] { lts::search_space_from_json(text); });
}
std::string state_error(std::string_view text) {
  return message_of([&] { lts::search_state_from_json(text); });
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

constexpr std::string_view kTiny = R"({"family":"gpt2","vocab_size":100,"n_positions":16,"d_model":8,)"
                                   R"("n_layer":2,"n_head":2,"d_ff":[16,32]})";

/// Details that are valid in a family with rotary positions.
lts::Details random_details(Random& random) {
  lts::Details d;
  if (random.bernoulli(0.3)) d.rotary_theta = 1 + static_cast<double>(random.next()) * 0x1p-30;
  if (random.bernoulli(0.3)) d.norm_epsilon = (1 + static_cast<double>(random.next())) * 0x1p-70;
  if (random.bernoulli(0.3)) {
    d.rotary_scaling = {.factor = 1 + random.below(1000) / 7.0,
                        .low_freq_factor = (1 + random.below(100)) / 3.0,
                        .high_freq_factor = 40 + random.below(100) / 9.0,
                        .original_positions = 1 + random.below(1'000'000)};
  }
  for (auto* bias : {&d.qkv_bias, &d.attention_output_bias, &d.feed_forward_bias}) {
    if (random.bernoulli(0.5)) *bias = random.bernoulli(0.5);
  }
  return d;
}

Architecture random_architecture(Random& random) {
  Architecture a;
  const auto families = lts::families();
  a.family = &families[random.below(static_cast<std::uint32_t>(families.size()))];
  a.vocab_size = 1000 + random.below(300'000);
  a.n_positions = 1 + random.below(4096);
  a.d_model = 64 * (1 + random.below(16));
  a.tie_embedding = a.family->tie_embedding;
  if (a.family->only_d_model != 0) a.d_model = a.family->only_d_model;
  if (!a.family->encoder && random.bernoulli(0.3)) a.head_dim = 2 * (1 + random.below(64));
  const bool grouped = a.family->attention == lts::Attention::grouped_query;
  for (std::uint32_t l = 0, n = 1 + random.below(40); l < n; ++l) {
    const std::int64_t n_kv_head = std::int64_t{1} << random.below(3);
    const std::int64_t n_head = grouped ? n_kv_head << random.below(3) : n_kv_head;
    a.layers.push_back({.n_head = n_head, .n_kv_head = n_kv_head, .d_ff = 1 + random.below(8192)});
    lts::Layer& layer = a.layers.back();
    if (a.family->only_d_ff != 0) layer.d_ff = a.family->only_d_ff;
    if (a.family->mixed) {
      layer.mixer = static_cast<lts::Mixer>(random.below(layer.n_head % 2 == 0 ? lts::n_mixers : 4));
      layer.n_ff = 1 + random.below(5);
    }
  }
  if (a.family->adaptive_allowed && random.bernoulli(0.5)) {
    a.d_embed = 128 * (1 + random.below(3));
    a.div_val = 1 + random.below(4);
    a.cutoffs = {200, 400 + random.below(100), 2'000'000, 267735};
    a.tie_embedding = true;
    for (int i = 0; i < 4; ++i) a.tie_projs.push_back(random.bernoulli(0.5));
  } else if (a.family->embedding == lts::Embedding::plain && !a.family->encoder) {
    a.tie_embedding = random.bernoulli(0.5);
  }
  if (a.family->position == lts::Position::rotary) {
    a.details = random_details(random);
    a.details.rotary_dim = 0;  // heads are of any width
    if (random.bernoulli(0.3)) a.layers.push_back({.n_head = 0, .n_kv_head = 0, .d_ff = 0});
  }
  return a;
}

std::vector<std::int64_t> random_choices(Random& random) {
  std::vector<std::int64_t> choices;
  for (std::uint32_t i = 0, n = random.below(6); i < n; ++i)
    choices.push_back(static_cast<std::int64_t>(random.next()));
  return choices;
}

/// Any finite double, subnormal ones and both zeros among them.
double random_double(Random& random) {
  for (;;) {
    const std::uint64_t bits = random.bernoulli(0.1) ? random.next() & 0x8000'0000'0000'0003ULL : random.next();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    if (std::isfinite(value)) return value;
  }
}

lts::Bounds random_bounds(Random& random) {
  lts::Bounds bounds;
  if (random.bernoulli(0.5)) bounds.min = static_cast<std::int64_t>(random.next());
  if (random.bernoulli(0.5)) bounds.max = static_cast<std::int64_t>(random.next());
  return bounds;
}

SearchSpaceOptions random_space(Random& random) {
  SearchSpaceOptions o;
  o.name = random.bernoulli(0.5) ? "K\xC3\xBCnstlich \"\\\n\t\x01/" : "";
  o.family = "llama";
  o.vocab_size = static_cast<std::int64_t>(random.next());
  o.n_positions = static_cast<std::int64_t>(random.next());
  o.head_dim = static_cast<std::int64_t>(random.next());
  o.cutoffs = random_choices(random);
  for (std::uint32_t i = 0, n = random.below(4); i < n; ++i) o.tie_projs.push_back(random.bernoulli(0.5));
  if (random.bernoulli(0.5)) o.tie_embedding = random.bernoulli(0.5);
  for (auto* choices : {&o.n_layer, &o.d_model, &o.n_head, &o.n_kv_head, &o.d_ff, &o.d_embed, &o.div_val}) {
    *choices = random_choices(random);
  }
  o.shared_n_head = random.bernoulli(0.5);
  o.shared_n_kv_head = random.bernoulli(0.5);
  o.shared_d_ff = random.bernoulli(0.5);
  o.min_ff_ratio = random_double(random);
  if (random.bernoulli(0.5)) o.max_ff_ratio = random_double(random);
  o.head_dims = random_choices(random);
  o.details = random_details(random);
  o.details.rotary_dim = static_cast<std::int64_t>(random.next());
  if (random.bernoulli(0.3)) {
    o.d_ff.clear();
    o.d_ff_ratio = {random_double(random), random_double(random)};
  }
  if (random.bernoulli(0.3)) {
    o.head_dim = 0;
    o.head_dim_choices = {static_cast<std::int64_t>(random.next()), 8};
  }
  for (std::uint32_t i = 0, n = random.below(4); i < n; ++i) {
    o.bias.push_back({random.bernoulli(0.5), random.bernoulli(0.5), random.bernoulli(0.5)});
  }
  o.decoder_params = random_bounds(random);
  o.total_params = random_bounds(random);
  return o;
}

lts::Genotype random_genotype(Random& random) {
  lts::Genotype genotype;
  for (std::uint32_t i = 0, n = random.below(50); i < n; ++i) {
    genotype.push_back(static_cast<std::uint16_t>(random.next()));
  }
  return genotype;
}

std::vector<lts::Evaluation> random_evaluations(Random& random) {
  std::vector<lts::Evaluation> evaluations(random.below(5));
  for (lts::Evaluation& e : evaluations) {
    e.id = random.next();
    e.genotype = random_genotype(random);
    for (std::uint32_t i = 0, n = random.below(4); i < n; ++i) e.values.push_back(random_double(random));
    e.violation = random_double(random);
  }
  return evaluations;
}

/// A state of the right form; that it contradicts itself is no concern of its text.
SearchState random_state(Random& random) {
  SearchState state;
  state.options.objectives = {{.name = "latency_ms", .direction = lts::Direction::minimize},
                              {.name = "decoder_params", .direction = lts::Direction::maximize}};
  state.options.constraints = {
      {.name = "a", .relation = lts::Constraint::Relation::at_most, .bound = random_double(random)},
      {.name = "b", .relation = lts::Constraint::Relation::at_least, .bound = random_double(random)}};
  switch (random.below(5)) {
    case 0:
      state.options.algorithm = lts::LtsEvolutionOptions{.population_size = 4'294'967'295,
                                                         .n_parents = 0,
                                                         .n_mutants = 7,
                                                         .n_crossovers = 8,
                                                         .mutation_probability = random_double(random),
                                                         .crossover_probability = random_double(random)};
      break;
    case 1:
      state.options.algorithm = lts::Nsga2Options{.population_size = 30,
                                                  .crossover_probability = random_double(random),
                                                  .mutation_probability = random_double(random)};
      break;
    case 2:
      state.options.algorithm = lts::LocalSearchOptions{.n_initial = 99};
      break;
    case 3:
      state.options.algorithm = lts::RandomSearchOptions{};
      break;
    default:
      state.options.algorithm = lts::ExhaustiveOptions{};
      break;
  }
  state.options.seed = random.next();
  state.space = random_space(random);
  for (std::uint64_t& word : state.random) word = random.next();
  state.next_id = random.next();
  state.n_told = random.next();
  state.n_failed = std::numeric_limits<std::uint64_t>::max();
  for (std::uint32_t i = 0, n = random.below(4); i < n; ++i) {
    state.pending.emplace_back(random.next(), random_genotype(random));
    state.seen.push_back(random.next());
    state.algorithm.queue.push_back(random_genotype(random));
    state.algorithm.uses.emplace_back(random.next(), random.next());
  }
  state.seen.push_back(std::numeric_limits<std::uint64_t>::max());
  state.front = random_evaluations(random);
  state.algorithm.counter = random.next();
  state.algorithm.population = random_evaluations(random);
  state.algorithm.offspring = random_evaluations(random);
  return state;
}

// --- Round trips ---

/// The text is read back to the same value, and that is written as the same text, which is returned.
template <class Value, class Read>
std::string expect_comes_back(const Value& value, const Read& read) {
  const std::string text = lts::to_json(value);
  const Value back = read(text);
  EXPECT_EQ(back, value) << text;
  EXPECT_EQ(lts::to_json(back), text);
  return text;
}

TEST(Json, ArchitecturesOfAllFamiliesComeBack) {
  Random random(1);
  for (int i = 0; i < 500; ++i) {
    const Architecture a = random_architecture(random);
    ASSERT_NO_THROW(lts::validate(a));
    const std::string text = expect_comes_back(a, lts::architecture_from_json);
    ASSERT_EQ(text.find('\n'), std::string::npos);
    if (HasFailure()) return;
  }
}

TEST(Json, SpacesComeBack) {
  Random random(2);
  for (int i = 0; i < 500; ++i) {
    expect_comes_back(random_space(random), lts::search_space_from_json);
    if (HasFailure()) return;
  }
}

TEST(Json, StatesComeBack) {
  Random random(3);
  for (int i = 0; i < 500; ++i) {
    expect_comes_back(random_state(random), lts::search_state_from_json);
    if (HasFailure()) return;
  }
}

TEST(Json, TheSignOfZeroStays) {
  SearchState state;
  state.front = {{.id = 0, .genotype = {1}, .values = {-0.0, 0.0}, .violation = 0.0}};
  const SearchState back = lts::search_state_from_json(lts::to_json(state));
  EXPECT_TRUE(std::signbit(back.front[0].values[0]));
  EXPECT_FALSE(std::signbit(back.front[0].values[1]));
}

TEST(Json, AMillionSeenHashesComeBack) {
  Random random(4);
  SearchState state;
  for (int i = 0; i < 1'000'000; ++i) state.seen.push_back(random.next());
  const SearchState back = lts::search_state_from_json(lts::to_json(state));
  EXPECT_EQ(back.seen, state.seen);
}

// --- Golden text ---

TEST(Json, GoldenArchitectures) {
  for (const char* name : {"architecture_gpt2", "architecture_transformer_xl", "architecture_llama",
                           "architecture_hw_gpt", "architecture_flexibert", "architecture_gpt_neox"}) {
    const std::string text = golden(name);
    EXPECT_EQ(lts::to_json(lts::architecture_from_json(text)), text);
  }
  const Architecture a{
      .family = &lts::family("llama"),
      .vocab_size = 32000,
      .n_positions = 2048,
      .d_model = 256,
      .head_dim = 0,
      .layers = {{.n_head = 8, .n_kv_head = 2, .d_ff = 704}, {.n_head = 4, .n_kv_head = 4, .d_ff = 512}},
      .d_embed = -1,
      .div_val = 1,
      .cutoffs = {},
      .tie_projs = {},
      .tie_embedding = false};
  EXPECT_EQ(lts::to_json(a), golden("architecture_llama"));
}

TEST(Json, GoldenSpace) {
  const std::string text = golden("search_space");
  const SearchSpaceOptions options = lts::search_space_from_json(text);
  EXPECT_EQ(options.min_ff_ratio, 1.5);
  EXPECT_EQ(options.decoder_params.max, 30'000'000);
  EXPECT_FALSE(options.decoder_params.min);
  EXPECT_EQ(lts::to_json(options), text);
}

TEST(Json, GoldenState) {
  const std::string text = golden("search_state");
  const SearchState state = lts::search_state_from_json(text);
  EXPECT_EQ(state.seen.back(), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(state.pending.at(0).first, 2U);
  EXPECT_EQ(std::get<lts::LtsEvolutionOptions>(state.options.algorithm).n_parents, 20U);
  EXPECT_EQ(lts::to_json(state), text);
}

// --- What may be left out ---

TEST(Json, NumbersStandForAllLayers) {
  const Architecture a = lts::architecture_from_json(kTiny);
  ASSERT_EQ(a.n_layer(), 2);
  EXPECT_EQ(a.layers[0], (lts::Layer{.n_head = 2, .n_kv_head = 2, .d_ff = 16}));
  EXPECT_EQ(a.layers[1], (lts::Layer{.n_head = 2, .n_kv_head = 2, .d_ff = 32}));
  EXPECT_EQ(a.d_embed, -1);
  EXPECT_TRUE(a.tie_embedding);
  EXPECT_EQ(lts::architecture_from_json(replaced(std::string(kTiny), R"("n_layer":2,)", "")), a);
}

TEST(Json, TieEmbeddingDefaultsToTheFamilys) {
  const Architecture a = lts::architecture_from_json(
      R"({"family":"llama","vocab_size":9,"n_positions":9,"d_model":8,"n_layer":1,"n_head":2,"d_ff":8})");
  EXPECT_FALSE(a.tie_embedding);
}

TEST(Json, WhitespaceAndOrderDoNotMatter) {
  const Architecture a = lts::architecture_from_json(
      "\n { \"d_ff\" : [16,\t32], \"n_head\":2, \"d_model\":8,\"n_positions\":16,\r\n\"vocab_size\":100,"
      "\"family\":\"gpt2\" } \n");
  EXPECT_EQ(a, lts::architecture_from_json(kTiny));
}

TEST(Json, SpaceFieldsLeftOutHaveTheirDefaults) {
  SearchSpaceOptions expected;
  expected.n_layer = {2};
  expected.d_model = {64};
  expected.n_head = {2};
  expected.d_ff = {128};
  EXPECT_EQ(lts::search_space_from_json(R"({"n_layer":[2],"d_model":[64],"n_head":[2],"d_ff":[128]})"), expected);
}

TEST(Json, IntegersAreFineWhereNumbersAre) {
  const auto text = R"({"n_layer":[2],"d_model":[64],"n_head":[2],"d_ff":[128],"min_ff_ratio":2})";
  EXPECT_EQ(lts::search_space_from_json(text).min_ff_ratio, 2.0);
}

TEST(Json, RulesOfShapesAreThereOnlyWhereTheyAreSet) {
  SearchSpaceOptions options = lts::search_space_from_json(golden("search_space"));
  EXPECT_FALSE(options.max_ff_ratio);
  EXPECT_TRUE(options.head_dims.empty());
  options.max_ff_ratio = 4;
  options.head_dims = {64, 128};
  const std::string text = lts::to_json(options);
  EXPECT_NE(text.find(R"("min_ff_ratio":1.5,"max_ff_ratio":4.0,"head_dims":[64,128],)"), std::string::npos) << text;
  EXPECT_EQ(lts::search_space_from_json(text), options);
  EXPECT_FALSE(
      lts::search_space_from_json(replaced(text, R"("max_ff_ratio":4.0)", R"("max_ff_ratio":null)")).max_ff_ratio);
}

// --- Errors ---

TEST(Json, MultiplesBiasesAndWidthsOfHeadsStandInPlaceOfOthers) {
  const std::string before = "{\"n_layer\":[1],\"d_model\":[8],\"n_head\":[1],";
  const SearchSpaceOptions options = lts::search_space_from_json(
      before + R"("head_dim":[4,8],"d_ff_ratio":[2,2.5],"bias":[true,[false,true,true],[false,false,false]]})");
  EXPECT_EQ(options.d_ff_ratio, (std::vector<double>{2, 2.5}));
  EXPECT_EQ(options.d_ff, std::vector<std::int64_t>{});
  EXPECT_EQ(options.head_dim_choices, (std::vector<std::int64_t>{4, 8}));
  EXPECT_EQ(options.bias, (std::vector<lts::Biases>{{true, true, true}, {false, true, true}, {}}));
  const std::string text = to_json(options);
  for (const std::string_view part :
       {R"("head_dim":[4,8],)", R"("d_ff_ratio":[2)", R"("bias":[true,[false,true,true],false])"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  EXPECT_EQ(text.find("\"d_ff\""), std::string::npos) << text;
  EXPECT_EQ(space_error(before + R"("d_ff":[1],"bias":[1]})"),
            "search space: bias[0] must be true, false or an array of three of them, not 1");
  EXPECT_EQ(space_error(before + R"("d_ff":[1],"bias":[[true,0,true]]})"),
            "search space: bias[0][1] must be true or false, not 0");
  EXPECT_EQ(space_error(before + R"("d_ff":[1],"head_dim":[]})"),
            "search space: head_dim has no choices; give at least one");
  EXPECT_EQ(space_error(before + R"("d_ff_ratio":[]})"), "search space: d_ff is missing");
  EXPECT_EQ(space_error(before + R"("d_ff_ratio":["2"]})"), "search space: d_ff_ratio[0] must be a number, not \"2\"");
}

TEST(Json, SyntaxErrorsSayWhere) {
  EXPECT_EQ(architecture_error(""),
            "architecture: not JSON: line 1, column 1: syntax error while parsing value - unexpected end of input; "
            "expected '[', '{', or a literal");
  EXPECT_NE(architecture_error("{\n  \"family\": gpt2}").find("line 2, column 13"), std::string::npos);
  EXPECT_NE(architecture_error(std::string(kTiny) + " x").find("column " + std::to_string(kTiny.size() + 2)),
            std::string::npos);
  EXPECT_NE(architecture_error(kTiny.substr(0, 50)).find("unexpected end of input"), std::string::npos);
  for (const char* number : {"NaN", "Infinity", "-Infinity", "01", "+1", "0x10", "1.", "'1'"}) {
    const std::string text = replaced(std::string(kTiny), "100", number);
    EXPECT_NE(architecture_error(text).find("architecture: not JSON: line 1, column "), std::string::npos) << text;
  }
  EXPECT_NE(architecture_error(replaced(std::string(kTiny), "100", "1e999")).find("not JSON"), std::string::npos);
}

TEST(Json, WhatIsNotUtf8IsAnErrorWithoutIt) {
  const std::string message = architecture_error("{\"family\":\"\xFF\xFE\"}");
  EXPECT_NE(message.find("not JSON: line 1, column 12"), std::string::npos) << message;
  EXPECT_EQ(message.find('\xFF'), std::string::npos);
  SearchSpaceOptions options;
  options.name = "\xFF";
  EXPECT_EQ(message_of([&] { lts::to_json(options); }),
            "search space: a text in it is not UTF-8, so it cannot be written as JSON");
}

TEST(Json, DetailsAreWrittenWhereTheyDifferFromTheFamily) {
  const std::string plain = lts::to_json(lts::architecture_from_json(kTiny));
  const auto with = [](std::string_view fields) {
    return lts::to_json(lts::architecture_from_json(replaced(std::string(kTiny), R"("n_layer":2)", fields)));
  };
  EXPECT_EQ(plain.find("bias"), std::string::npos);
  EXPECT_EQ(with(R"("n_layer":2,"norm_epsilon":1e-5,"qkv_bias":true,"rotary_theta":10000,"rotary_dim":0,)"
                 R"("rotary_scaling":null,"feed_forward_bias":null)"),
            plain);
  EXPECT_EQ(
      with(R"("norm_epsilon":0.001,"qkv_bias":false)"),
      replaced(plain, R"("tie_embedding":true)", R"("tie_embedding":true,"norm_epsilon":0.001,"qkv_bias":false)"));
  const auto llama = [](std::string_view scaling) {
    return replaced(replaced(std::string(kTiny), "gpt2", "llama"), R"("n_layer":2)",
                    R"("rotary_theta":500000,"rotary_dim":2,"attention_output_bias":true,"rotary_scaling":)" +
                        std::string(scaling));
  };
  const std::string scaling =
      R"({"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_positions":8192})";
  const std::string text = lts::to_json(lts::architecture_from_json(llama(scaling)));
  EXPECT_NE(text.find(R"("rotary_theta":500000.0,"rotary_dim":2,"rotary_scaling":)" + scaling +
                      R"(,"attention_output_bias":true})"),
            std::string::npos)
      << text;
  EXPECT_EQ(architecture_error(llama(R"({"factor":8})")), "architecture: rotary_scaling.low_freq_factor is missing");
  EXPECT_EQ(architecture_error(llama(R"({"type":"yarn"})")),
            "architecture: rotary_scaling: unknown key 'type'; allowed: factor, low_freq_factor, high_freq_factor, "
            "original_positions");
  EXPECT_EQ(architecture_error(llama("8")), "architecture: rotary_scaling must be an object, not 8");
}

TEST(Json, KeysAreStrict) {
  EXPECT_EQ(
      architecture_error(replaced(std::string(kTiny), "d_ff", "dff")),
      "architecture: unknown key 'dff'; allowed: family, vocab_size, n_positions, d_model, n_layer, n_head, "
      "n_kv_head, d_ff, mixer, n_ff, head_dim, d_embed, div_val, cutoffs, tie_projs, tie_embedding, rotary_theta, "
      "norm_epsilon, rotary_dim, rotary_scaling, qkv_bias, attention_output_bias, feed_forward_bias");
  EXPECT_EQ(architecture_error(replaced(std::string(kTiny), "d_model", "vocab_size")),
            "architecture: key 'vocab_size' comes twice in one object");
  for (const char* key : {"family", "vocab_size", "n_positions", "d_model", "n_head", "d_ff"}) {
    const std::string text = replaced(std::string(kTiny), "\"" + std::string(key) + "\"", "\"head_dim\"");
    EXPECT_EQ(architecture_error(text), "architecture: " + std::string(key) + " is missing");
  }
  EXPECT_EQ(space_error(R"({"n_layer":[2],"d_model":[64],"n_head":[2],"d_ff":[128],"total_params":{"least":1}})"),
            "search space: total_params: unknown key 'least'; allowed: min, max");
  EXPECT_EQ(space_error(R"({"n_layer":[2],"d_model":[64],"n_head":[2]})"), "search space: d_ff is missing");
}

TEST(Json, TypesAreStrict) {
  const auto with = [](std::string_view from, std::string_view to) {
    return architecture_error(replaced(std::string(kTiny), from, to));
  };
  EXPECT_EQ(with("100", "\"100\""), "architecture: vocab_size must be an integer, not \"100\"");
  EXPECT_EQ(with("100", "100.0"), "architecture: vocab_size must be an integer, not 100.0");
  EXPECT_EQ(with("100", "true"), "architecture: vocab_size must be an integer, not true");
  EXPECT_EQ(with("100", "null"), "architecture: vocab_size must be an integer, not null");
  EXPECT_EQ(with("100", "[100]"), "architecture: vocab_size must be an integer, not an array");
  EXPECT_EQ(with("\"gpt2\"", "2"), "architecture: family must be a string, not 2");
  EXPECT_EQ(with("[16,32]", "{}"), "architecture: d_ff must be an integer or an array of integers, not an object");
  EXPECT_EQ(with("[16,32]", "[16,32.5]"), "architecture: d_ff[1] must be an integer, not 32.5");
  EXPECT_EQ(with("\"n_layer\":2", "\"tie_projs\":[true,0]"), "architecture: tie_projs[1] must be true or false, not 0");
  EXPECT_EQ(with("\"n_layer\":2", "\"tie_embedding\":1"), "architecture: tie_embedding must be true or false, not 1");
  EXPECT_EQ(with("\"n_layer\":2", "\"cutoffs\":5"), "architecture: cutoffs must be an array, not 5");
  EXPECT_EQ(architecture_error("[]"), "architecture must be an object, not an array");
  EXPECT_EQ(architecture_error("7"), "architecture must be an object, not 7");
  const std::string longer(1000, 'x');
  EXPECT_LT(with("100", "\"" + longer + "\"").size(), 150U);
  EXPECT_EQ(space_error(R"({"n_layer":[2],"d_model":[64],"n_head":[2],"d_ff":128})"),
            "search space: d_ff must be an array, not 128");
  EXPECT_EQ(space_error(R"({"n_layer":[2],"d_model":[64],"n_head":[2],"d_ff":[128],"min_ff_ratio":"1"})"),
            "search space: min_ff_ratio must be a number, not \"1\"");
  EXPECT_EQ(space_error(R"({"n_layer":[2],"d_model":[64],"n_head":[2],"d_ff":[128],"total_params":{"max":1.5}})"),
            "search space: total_params.max must be an integer, not 1.5");
}

TEST(Json, NumbersBeyond64BitsAreErrors) {
  const auto with = [](std::string_view to) { return architecture_error(replaced(std::string(kTiny), "100", to)); };
  EXPECT_EQ(with("9223372036854775808"),
            "architecture: vocab_size must be an integer of 64 bits, not 9223372036854775808");
  EXPECT_NE(with("123456789012345678901234567890").find("vocab_size must be an integer of 64 bits"), std::string::npos);
  EXPECT_NE(with("-9223372036854775809").find("vocab_size must be an integer of 64 bits"), std::string::npos);
  EXPECT_NE(with("9223372036854775807").find("vocab_size is 9223372036854775807; it must be from 1"),
            std::string::npos);
}

TEST(Json, LayersMustAgree) {
  const auto with = [](std::string_view from, std::string_view to) {
    return architecture_error(replaced(std::string(kTiny), from, to));
  };
  EXPECT_EQ(with("\"n_layer\":2", "\"n_layer\":3"),
            "architecture: d_ff has 2 entries, but n_layer is 3; there must be one per layer");
  EXPECT_EQ(with("\"n_head\":2", "\"n_head\":[1,2,4]"),
            "architecture: n_head has 3 entries, but n_layer is 2; there must be one per layer");
  EXPECT_EQ(with("\"n_layer\":2,\"n_head\":2", "\"n_head\":[1,2,4]"),
            "architecture: d_ff has 2 entries, but n_head has 3; there must be one per layer");
  EXPECT_EQ(with("\"n_layer\":2,\"n_head\":2,\"d_ff\":[16,32]", "\"n_head\":2,\"d_ff\":16"),
            "architecture: n_layer is missing; it is needed when n_head, n_kv_head and d_ff are single numbers");
  EXPECT_EQ(with("\"n_layer\":2,\"n_head\":2,\"d_ff\":[16,32]", "\"n_layer\":1e3,\"n_head\":2,\"d_ff\":16"),
            "architecture: n_layer must be an integer, not 1000.0");
  EXPECT_EQ(with("\"n_layer\":2,\"n_head\":2,\"d_ff\":[16,32]", "\"n_layer\":99999999999,\"n_head\":2,\"d_ff\":16"),
            "architecture: n_layer is 99999999999; it must be from 1 to 4096");
  EXPECT_EQ(with("\"n_layer\":2,\"n_head\":2,\"d_ff\":[16,32]", "\"n_head\":[],\"d_ff\":[]"),
            "n_layer is 0; it must be from 1 to 4096");
}

TEST(Json, ArchitecturesAreValidated) {
  EXPECT_NE(architecture_error(replaced(std::string(kTiny), "\"n_head\":2", "\"n_head\":3")).find("divide d_model"),
            std::string::npos);
  EXPECT_NE(architecture_error(replaced(std::string(kTiny), "gpt2", "gpt3")).find("unknown family 'gpt3'"),
            std::string::npos);
}

TEST(Json, DeepNestingIsAnError) {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_EQ(architecture_error(deep), "architecture: arrays and objects are nested deeper than 64 levels");
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  EXPECT_EQ(space_error(objects), "search space: arrays and objects are nested deeper than 64 levels");
  EXPECT_EQ(state_error(std::string(64, '[') + std::string(64, ']')), "search state must be an object, not an array");
}

TEST(Json, ManyUnknownKeysAreReadInOneGo) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"key" + std::to_string(i) + "\":1,";
  text.back() = '}';
  EXPECT_NE(architecture_error(text).find("unknown key 'key0'"), std::string::npos);
}

TEST(Json, AlgorithmsByNameAndOptions) {
  const lts::AlgorithmOptions options = lts::algorithm_options_from_json(R"({"name":"lts","n_parents":7})");
  EXPECT_EQ(options, lts::AlgorithmOptions(lts::LtsEvolutionOptions{.n_parents = 7}));
  EXPECT_EQ(lts::algorithm_options_from_json(R"({"name":"random"})"), lts::algorithm_options("random"));
  EXPECT_EQ(message_of([] { lts::algorithm_options_from_json(R"({"name":"random","n_parents":7})"); }),
            "algorithm: unknown key 'n_parents'; allowed: name");
  EXPECT_EQ(message_of([] { lts::algorithm_options_from_json("[]"); }),
            "algorithm must be an object with the name of an algorithm, not an array");
}

TEST(Json, StatesAreStrict) {
  const std::string good = golden("search_state");
  const auto with = [&](std::string_view from, std::string_view to) { return state_error(replaced(good, from, to)); };
  EXPECT_EQ(with("\"schema\":1", "\"schema\":2"), "search state: schema is 2; this version reads 1");
  EXPECT_EQ(with("\"schema\":1,", ""), "search state: schema is missing");
  EXPECT_NE(with("\"counter\"", "\"count\"").find("search state: algorithm: unknown key 'count'"), std::string::npos);
  EXPECT_EQ(with("\"direction\":\"maximize\"", "\"direction\":\"max\""),
            "search state: options.objectives[0].direction must be minimize or maximize, not \"max\"");
  EXPECT_EQ(with("\"relation\":\"at_most\"", "\"relation\":7"),
            "search state: options.constraints[0].relation must be at_most or at_least, not 7");
  EXPECT_EQ(with("\"name\":\"lts\"", "\"name\":\"sgd\""),
            "unknown algorithm 'sgd'; expected one of lts, nsga2, local, random, exhaustive");
  EXPECT_EQ(with("\"n_parents\"", "\"parents\""),
            "search state: options.algorithm: unknown key 'parents'; allowed: name, population_size, n_parents, "
            "n_mutants, n_crossovers, mutation_probability, crossover_probability");
  EXPECT_EQ(with("\"n_parents\":20", "\"n_parents\":4294967296"),
            "search state: options.algorithm.n_parents must be an integer from 0 to 4294967295, not 4294967296");
  EXPECT_EQ(with("\"algorithm\":{\"name\":\"lts\",", "\"algorithm\":{"),
            "search state: options.algorithm.name is missing");
  EXPECT_EQ(with("\"seed\":7", "\"seed\":-7"),
            "search state: options.seed must be an integer from 0 to 18446744073709551615, not -7");
  EXPECT_EQ(with("\"pending\":[[2,[0,1]]]", "\"pending\":[[2,[0,65536]]]"),
            "search state: pending[0][1][1] must be an integer from 0 to 65535, not 65536");
  EXPECT_EQ(with("\"pending\":[[2,[0,1]]]", "\"pending\":[[2]]"),
            "search state: pending[0] has 1 entries; it must have 2");
  EXPECT_EQ(with("18446744073709551615]", "18446744073709551616]"),
            "search state: seen[3] must be an integer from 0 to 18446744073709551615, not 1.8446744073709552e+19");
  EXPECT_EQ(with("\"random\":[1,2,3,4]", "\"random\":[1,2,3]"), "search state: random has 3 entries; it must have 4");
}

TEST(Json, WhatJsonCannotHoldIsAnError) {
  SearchSpaceOptions options;
  options.min_ff_ratio = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(message_of([&] { lts::to_json(options); }),
            "search space: min_ff_ratio is not a finite number, so it cannot be written as JSON");
  SearchState state;
  state.front = {{.id = 0, .genotype = {}, .values = {std::numeric_limits<double>::infinity()}, .violation = 0.0}};
  EXPECT_EQ(message_of([&] { lts::to_json(state); }),
            "search state: values is not a finite number, so it cannot be written as JSON");
  EXPECT_EQ(message_of([] { lts::to_json(Architecture{}); }), "architecture: family is not set");
}

}  // namespace
