// The C interface gives what the C++ interface gives.
#include <cstdint>
#include <fstream>
#include <lts/lts.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "objects.hpp"

namespace lts::test {
namespace {

std::string golden(const std::string& name) {
  std::ifstream file(std::string(LTS_GOLDEN) + "/" + name + ".json");
  std::stringstream text;
  text << file.rdbuf();
  std::string result = text.str();
  while (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

int measure(void* user, std::uint64_t, const lts_architecture* architecture, double* values, std::size_t n) {
  EXPECT_EQ(n, 2U);
  values_of(architecture, values);
  auto* const seen = static_cast<std::vector<std::string>*>(user);
  Text json;
  EXPECT_EQ(lts_architecture_to_json(architecture, json.out()), LTS_OK);
  seen->push_back(json.str());
  return LTS_MEASURED;
}

std::vector<double> values_in_cpp(const Architecture& a) {
  const double params = analytic("decoder_params")(a, {});
  return {params, std::fmod(analytic("flops_decode")(a, {}), 1009.0) + params / 1e6};
}

TEST(CApi, Version) {
  const std::string version = std::to_string(LTS_VERSION_MAJOR) + "." + std::to_string(LTS_VERSION_MINOR) + "." +
                              std::to_string(LTS_VERSION_PATCH);
  EXPECT_EQ(lts_version(), version);
  EXPECT_EQ(version, LTS_PROJECT_VERSION);
}

TEST(CApi, CountsAndProxiesOfEveryFamily) {
  for (const char* const name : {"gpt2", "llama", "transformer_xl", "hw_gpt", "flexibert"}) {
    SCOPED_TRACE(name);
    const std::string json = golden(std::string("architecture_") + name);
    const Architecture a = architecture_from_json(json);
    lts_architecture* handle = nullptr;
    ASSERT_EQ(lts_architecture_from_json(json.c_str(), &handle), LTS_OK) << lts_last_error();
    Text back;
    ASSERT_EQ(lts_architecture_to_json(handle, back.out()), LTS_OK);
    EXPECT_EQ(back.str(), to_json(a));
    for (std::size_t i = 0; lts_count_name(i) != nullptr; ++i) {
      lts_workload workload = LTS_WORKLOAD_INIT;
      workload.n_prompt = 64;
      workload.weight_bits = 8;
      double value = 0;
      const lts_status status = lts_count(handle, lts_count_name(i), &workload, &value);
      try {
        const Workload same{.n_prompt = 64, .weights = Precision::int8};
        EXPECT_EQ(value, analytic(lts_count_name(i))(a, same)) << lts_count_name(i);
        EXPECT_EQ(status, LTS_OK);
      } catch (const std::invalid_argument& error) {
        EXPECT_EQ(status, LTS_INVALID_ARGUMENT);
        EXPECT_EQ(lts_last_error(), std::string("lts_count: ") + error.what());
      }
    }
    for (const char* const count : {"flops_prefill", "flops_decode", "peak_memory_estimate_mib"}) {
      if (a.family->encoder) break;
      for (const std::int32_t last : {0, 1}) {
        lts_workload workload = LTS_WORKLOAD_INIT;
        EXPECT_EQ(workload.last_logits, 0);
        workload.n_prompt = 64;
        workload.last_logits = last;
        double value = 0;
        ASSERT_EQ(lts_count(handle, count, &workload, &value), LTS_OK) << lts_last_error();
        const Workload same{.n_prompt = 64, .logits = last == 1 ? Logits::last : Logits::all};
        EXPECT_EQ(value, analytic(count)(a, same)) << count << " " << last;
      }
    }
    lts_parameter_counts counts = LTS_PARAMETER_COUNTS_INIT;
    ASSERT_EQ(lts_count_parameters(handle, &counts), LTS_OK);
    const ParameterCounts expected = count_parameters(a);
    EXPECT_EQ(counts.attention, expected.attention);
    EXPECT_EQ(counts.feed_forward, expected.feed_forward);
    EXPECT_EQ(counts.embedding, expected.embedding);
    EXPECT_EQ(counts.decoder, expected.decoder);
    EXPECT_EQ(counts.softmax, expected.softmax);
    EXPECT_EQ(counts.total, expected.total());
    double value = 0;
    ASSERT_EQ(lts_geometric(handle, 0.3, &value), LTS_OK);
    EXPECT_EQ(value, geometric(a, 0.3));
    ASSERT_EQ(lts_zerolm(handle, 0.3, 2.0, &value), LTS_OK);
    EXPECT_EQ(value, zerolm(a, 0.3, 2.0));

    const char* family_name = nullptr;
    ASSERT_EQ(lts_architecture_family(handle, &family_name), LTS_OK);
    EXPECT_EQ(family_name, a.family->name);
    const std::pair<lts_dimension, std::int64_t> whole[] = {
        {LTS_VOCAB_SIZE, a.vocab_size},
        {LTS_N_POSITIONS, a.n_positions},
        {LTS_N_LAYER, a.n_layer()},
        {LTS_D_MODEL, a.d_model},
        {LTS_HEAD_DIM, a.head_dim},
        {LTS_D_EMBED, a.d_embed},
        {LTS_DIV_VAL, a.div_val},
        {LTS_TIE_EMBEDDING, a.tie_embedding ? 1 : 0},
        {LTS_ROTARY_DIM, a.details.rotary_dim},
        {LTS_QKV_BIAS, a.qkv_bias() ? 1 : 0},
        {LTS_ATTENTION_OUTPUT_BIAS, a.attention_output_bias() ? 1 : 0},
        {LTS_FEED_FORWARD_BIAS, a.feed_forward_bias() ? 1 : 0}};
    std::int64_t number = 0;
    for (const auto& [dimension, expected_value] : whole) {
      ASSERT_EQ(lts_architecture_get(handle, dimension, 0, &number), LTS_OK);
      EXPECT_EQ(number, expected_value) << dimension;
    }
    std::vector<std::int64_t> all(a.layers.size());
    for (const lts_dimension dimension : {LTS_N_HEAD, LTS_N_KV_HEAD, LTS_D_FF, LTS_N_FF, LTS_MIXER}) {
      ASSERT_EQ(lts_architecture_get_layers(handle, dimension, all.data(), all.size()), LTS_OK);
      for (std::size_t l = 0; l < all.size(); ++l) {
        ASSERT_EQ(lts_architecture_get(handle, dimension, l, &number), LTS_OK);
        const Layer& layer = a.layers[l];
        const std::int64_t of_layer = dimension == LTS_N_HEAD      ? layer.n_head
                                      : dimension == LTS_N_KV_HEAD ? layer.n_kv_head
                                      : dimension == LTS_D_FF      ? layer.d_ff
                                      : dimension == LTS_N_FF      ? layer.n_ff
                                                                   : static_cast<std::int64_t>(layer.mixer);
        EXPECT_EQ(number, of_layer);
        EXPECT_EQ(all[l], of_layer);
      }
    }
    EXPECT_EQ(lts_architecture_destroy(handle), LTS_OK);
  }
}

TEST(CApi, CopiesAreEqual) {
  const Objects o;
  int equal = 7;
  ASSERT_EQ(lts_architecture_equal(o.architecture, o.scratch, &equal), LTS_OK);
  EXPECT_EQ(equal, 0);
  ASSERT_EQ(lts_architecture_copy(o.scratch, o.architecture), LTS_OK);
  ASSERT_EQ(lts_architecture_copy(o.scratch, o.scratch), LTS_OK);
  ASSERT_EQ(lts_architecture_equal(o.architecture, o.scratch, &equal), LTS_OK);
  EXPECT_EQ(equal, 1);
}

TEST(CApi, LayersThatAreEmptyGo) {
  const Objects o;
  lts_architecture* with = nullptr;
  ASSERT_EQ(
      lts_architecture_from_json(R"({"family":"llama","vocab_size":9,"n_positions":8,"d_model":8,"n_head":[2,0,0],)"
                                 R"("d_ff":[0,0,4],"rotary_dim":2,"qkv_bias":true,"rotary_theta":500000})",
                                 &with),
      LTS_OK)
      << lts_last_error();
  ASSERT_EQ(lts_architecture_without_empty_layers(o.scratch, with), LTS_OK);
  char* text = nullptr;
  ASSERT_EQ(lts_architecture_to_json(o.scratch, &text), LTS_OK);
  EXPECT_NE(std::string_view(text).find(R"("n_head":[2,0],"n_kv_head":[2,0],"d_ff":[0,4])"), std::string_view::npos)
      << text;
  EXPECT_NE(std::string_view(text).find(R"("rotary_theta":500000.0,"rotary_dim":2,"qkv_bias":true})"),
            std::string_view::npos)
      << text;
  lts_free_text(text);
  EXPECT_EQ(lts_architecture_destroy(with), LTS_OK);
}

TEST(CApi, SpacesGoByIndex) {
  const Objects o;
  const SearchSpace space(search_space_from_json(kSpace));
  Text text;
  ASSERT_EQ(lts_space_size(o.space, text.out()), LTS_OK);
  EXPECT_EQ(text.str(), space.size().to_decimal());
  ASSERT_EQ(lts_space_to_json(o.space, text.out()), LTS_OK);
  EXPECT_EQ(text.str(), to_json(space.options()));
  for (const char* const index : {"0", "77", "1000"}) {
    ASSERT_EQ(lts_space_at(o.space, index, o.scratch), LTS_OK) << lts_last_error();
    ASSERT_EQ(lts_architecture_to_json(o.scratch, text.out()), LTS_OK);
    EXPECT_EQ(text.str(), to_json(space.at(BigUint::from_decimal(index))));
    ASSERT_EQ(lts_space_index(o.space, o.scratch, text.out()), LTS_OK);
    EXPECT_EQ(text.str(), index);
    ASSERT_EQ(lts_space_why_not(o.space, o.scratch, text.out()), LTS_OK);
    EXPECT_EQ(text.get(), nullptr);
  }
  lts_architecture* stranger = nullptr;
  const std::string json = golden("architecture_gpt2");
  ASSERT_EQ(lts_architecture_from_json(json.c_str(), &stranger), LTS_OK);
  ASSERT_EQ(lts_space_why_not(o.space, stranger, text.out()), LTS_OK);
  EXPECT_EQ(text.str(), space.why_not(architecture_from_json(json)).value_or(""));
  EXPECT_EQ(lts_space_index(o.space, stranger, text.out()), LTS_INVALID_ARGUMENT);
  lts_architecture_destroy(stranger);
}

TEST(CApi, SamplesAreThoseOfTheSeed) {
  const Objects o;
  const SearchSpace space(search_space_from_json(kSpace));
  lts_random random{};
  ASSERT_EQ(lts_random_seed(&random, 99), LTS_OK);
  Random same(99);
  Architecture expected;
  Text text;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(lts_space_sample(o.space, &random, o.scratch), LTS_OK);
    space.sample(same, expected);
    ASSERT_EQ(lts_architecture_to_json(o.scratch, text.out()), LTS_OK);
    EXPECT_EQ(text.str(), to_json(expected));
    ASSERT_EQ(lts_space_sample_choices(o.space, &random, o.scratch), LTS_OK);
    space.sample_choices(same, expected);
    ASSERT_EQ(lts_architecture_to_json(o.scratch, text.out()), LTS_OK);
    EXPECT_EQ(text.str(), to_json(expected));
  }
}

TEST(CApi, Pareto) {
  const Objects o;
  const double points[] = {3, 3, 1, 4, 2, 2, 4, 1, 2, 2};
  const int stays[] = {1, 1, 1, 1, 0};
  for (std::size_t i = 0; i < 5; ++i) {
    int stayed = 7;
    ASSERT_EQ(lts_archive_insert(o.archive, points + 2 * i, 2, i, &stayed), LTS_OK);
    EXPECT_EQ(stayed, stays[i]);
  }
  std::size_t size = 0;
  ASSERT_EQ(lts_archive_size(o.archive, &size), LTS_OK);
  ASSERT_EQ(size, 3U);
  double kept[6] = {};
  std::uint64_t ids[3] = {};
  ASSERT_EQ(lts_archive_members(o.archive, kept, ids, size), LTS_OK);
  EXPECT_EQ(std::vector<double>(kept, kept + 6), (std::vector<double>{1, 4, 2, 2, 4, 1}));
  EXPECT_EQ(std::vector<std::uint64_t>(ids, ids + 3), (std::vector<std::uint64_t>{1, 2, 3}));
  int covers = 7;
  ASSERT_EQ(lts_archive_covers(o.archive, points, 2, &covers), LTS_OK);
  EXPECT_EQ(covers, 1);
  const double reference[] = {5, 5};
  double volume = 0;
  ASSERT_EQ(lts_hypervolume(kept, 3, reference, 2, &volume), LTS_OK);
  EXPECT_EQ(volume, 11.0);  // 3 x 3, and two strips of 1 by 1 beside it
  ASSERT_EQ(lts_hypervolume(nullptr, 0, reference, 2, &volume), LTS_OK);
  EXPECT_EQ(volume, 0.0);
  std::uint32_t fronts[5] = {};
  ASSERT_EQ(lts_nondominated_sort(points, 5, 2, fronts), LTS_OK);
  EXPECT_EQ(std::vector<std::uint32_t>(fronts, fronts + 5), (std::vector<std::uint32_t>{1, 0, 0, 0, 0}));
  double distances[3] = {};
  ASSERT_EQ(lts_crowding_distance(kept, 3, 2, distances), LTS_OK);
  EXPECT_EQ(distances[1], crowding_distance(kept, 2)[1]);
  EXPECT_TRUE(std::isinf(distances[0]));
  ASSERT_EQ(lts_archive_clear(o.archive), LTS_OK);
  ASSERT_EQ(lts_archive_size(o.archive, &size), LTS_OK);
  EXPECT_EQ(size, 0U);
}

TEST(CApi, SurrogatesPredictTheSame) {
  const Objects o;
  Text json;
  ASSERT_EQ(lts_surrogate_to_json(o.surrogate, json.out()), LTS_OK);
  const Surrogate same(surrogate_from_json(json.str()));
  const Architecture a = architecture_from_json(kArchitecture);
  double value = 0;
  double low = 0;
  double high = 0;
  ASSERT_EQ(lts_surrogate_predict(o.surrogate, o.architecture, &value), LTS_OK);
  EXPECT_EQ(value, same.predict(a));
  ASSERT_EQ(lts_surrogate_interval(o.surrogate, o.architecture, &value, &low, &high), LTS_OK);
  EXPECT_EQ(value, same.interval(a).value);
  EXPECT_EQ(low, same.interval(a).low);
  EXPECT_EQ(high, same.interval(a).high);
  lts_surrogate_quality quality = LTS_SURROGATE_QUALITY_INIT;
  ASSERT_EQ(lts_surrogate_get_quality(o.surrogate, &quality), LTS_OK);
  EXPECT_EQ(quality.n_samples, 12U);
  EXPECT_EQ(quality.error, same.state().error);
  lts_surrogate* restored = nullptr;
  ASSERT_EQ(lts_surrogate_from_json(json.get(), &restored), LTS_OK);
  double again = 0;
  ASSERT_EQ(lts_surrogate_predict(restored, o.architecture, &again), LTS_OK);
  EXPECT_EQ(again, value);
  lts_surrogate_destroy(restored);
}

TEST(CApi, FitsWithNoiseAndPrior) {
  const Objects o;
  Text json;
  ASSERT_EQ(lts_surrogate_to_json(o.surrogate, json.out()), LTS_OK);
  const std::vector<double> prior = surrogate_from_json(json.str()).coefficients;
  lts_architecture* other = nullptr;
  ASSERT_EQ(lts_architecture_create(&other), LTS_OK);
  ASSERT_EQ(lts_space_at(o.space, "5", other), LTS_OK);
  const lts_architecture* const two[] = {o.architecture, other};
  const double values[] = {3e6, 8e6};
  const double noise[] = {0.01, 0.02};
  lts_surrogate_options options = LTS_SURROGATE_OPTIONS_INIT;
  options.prior = prior.data();
  options.n_prior = prior.size();
  options.level = 0.8;
  lts_surrogate* fitted = nullptr;
  ASSERT_EQ(lts_surrogate_fit(two, values, noise, 2, &options, &fitted), LTS_OK) << lts_last_error();
  const Architecture first = architecture_from_json(kArchitecture);
  const Architecture second = SearchSpace(search_space_from_json(kSpace)).at(5);
  const CostSample samples[] = {{first, values[0], noise[0]}, {second, values[1], noise[1]}};
  double value = 0;
  ASSERT_EQ(lts_surrogate_predict(fitted, other, &value), LTS_OK);
  EXPECT_EQ(value, Surrogate::fit(samples, {.level = 0.8, .prior = prior}).predict(second));
  lts_surrogate_destroy(fitted);
  lts_architecture_destroy(other);
}

TEST(CApi, FitsSeveralDevices) {
  const Objects o;
  const SearchSpace space(search_space_from_json(kSpace));
  std::vector<lts_architecture*> owned;
  std::vector<double> values;
  std::vector<std::vector<CostSample>> devices(3);
  const std::size_t n[] = {8, 0, 5};
  for (std::size_t d = 0; d < 3; ++d) {
    for (std::uint64_t i = 0; i < n[d]; ++i) {
      owned.push_back(nullptr);
      ASSERT_EQ(lts_architecture_create(&owned.back()), LTS_OK);
      ASSERT_EQ(lts_space_at(o.space, std::to_string(5 * i + d).c_str(), owned.back()), LTS_OK);
      const Architecture a = space.at(5 * i + d);
      values.push_back(static_cast<double>(count_parameters(a).decoder) * static_cast<double>(d + 1) + 1e5);
      devices[d].push_back({a, values.back(), 0.0});
    }
  }
  const Pooled pooled = fit_pooled(devices, 0.8);
  lts_surrogate* fitted[3] = {};
  lts_surrogate* unmeasured = nullptr;
  double errors[3] = {-1, -1, -1};
  ASSERT_EQ(lts_surrogate_fit_pooled(owned.data(), values.data(), nullptr, n, 3, 0.8, fitted, &unmeasured, errors),
            LTS_OK)
      << lts_last_error();
  double value = 0;
  for (std::size_t d = 0; d < 3; ++d) {
    ASSERT_EQ(lts_surrogate_predict(fitted[d], o.architecture, &value), LTS_OK);
    EXPECT_EQ(value, pooled.devices[d].surrogate.predict(architecture_from_json(kArchitecture)));
    EXPECT_EQ(errors[d], pooled.devices[d].error_from_others);
    lts_surrogate_destroy(fitted[d]);
  }
  lts_surrogate* in_unit = nullptr;
  ASSERT_EQ(lts_surrogate_scaled(unmeasured, 3.5, &in_unit), LTS_OK);
  ASSERT_EQ(lts_surrogate_predict(in_unit, o.architecture, &value), LTS_OK);
  EXPECT_EQ(value, scaled(pooled.unmeasured, 3.5).predict(architecture_from_json(kArchitecture)));
  lts_surrogate_destroy(in_unit);
  lts_surrogate_destroy(unmeasured);
  for (lts_architecture* a : owned) lts_architecture_destroy(a);
}

class CApiSearch : public testing::TestWithParam<const char*> {};

TEST_P(CApiSearch, GivesTheCandidatesOfTheCppSearch) {
  const Objects o;
  const lts_search_options options = search_options(GetParam(), 42);
  lts_search* search = nullptr;
  ASSERT_EQ(lts_search_create(o.space, &options, &search), LTS_OK) << lts_last_error();
  Search same(
      SearchSpace(search_space_from_json(kSpace)),
      {.objectives = {parse_objective(kObjectives[0]), parse_objective(kObjectives[1])},
       .algorithm = *GetParam() == '{' ? algorithm_options_from_json(GetParam()) : algorithm_options(GetParam()),
       .seed = 42});
  std::vector<std::string> seen;
  std::uint64_t n_told = 0;
  ASSERT_EQ(lts_search_run(search, 300, measure, &seen, &n_told), LTS_OK) << lts_last_error();
  EXPECT_EQ(n_told, 300U);
  std::vector<std::string> expected;
  same.run(300, [&](const Architecture& a, std::span<double> values) {
    expected.push_back(to_json(a));
    const auto given = values_in_cpp(a);
    std::copy(given.begin(), given.end(), values.begin());
  });
  EXPECT_EQ(seen, expected);
  Text state;
  ASSERT_EQ(lts_search_save(search, state.out()), LTS_OK);
  EXPECT_EQ(state.str(), to_json(same.state()));

  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  ASSERT_EQ(lts_search_get_progress(search, &progress), LTS_OK);
  EXPECT_EQ(progress.n_asked, 300U);
  EXPECT_EQ(progress.n_told, 300U);
  EXPECT_EQ(progress.n_pending, 0U);
  EXPECT_EQ(progress.n_columns, 2U);
  const auto front = same.front();
  ASSERT_EQ(progress.front_size, front.size());
  for (std::size_t i = 0; i < front.size(); ++i) {
    double values[2] = {};
    std::uint64_t id = 0;
    ASSERT_EQ(lts_search_front(search, i, o.scratch, &id, values, 2), LTS_OK);
    EXPECT_EQ(id, front[i].id);
    EXPECT_EQ(std::vector<double>(values, values + 2), front[i].values);
    Text json;
    ASSERT_EQ(lts_architecture_to_json(o.scratch, json.out()), LTS_OK);
    EXPECT_EQ(json.str(), to_json(front[i].architecture));
  }
  const char* column = nullptr;
  ASSERT_EQ(lts_search_column(search, 1, &column), LTS_OK);
  EXPECT_STREQ(column, "latency_ms");
  lts_space* space = nullptr;
  ASSERT_EQ(lts_search_space(search, &space), LTS_OK);
  EXPECT_EQ(lts_search_destroy(search), LTS_OK);
  Text json;
  ASSERT_EQ(lts_space_to_json(space, json.out()), LTS_OK);  // it is of its own
  EXPECT_EQ(json.str(), to_json(same.space().options()));
  lts_space_destroy(space);
}
INSTANTIATE_TEST_SUITE_P(Algorithms, CApiSearch,
                         testing::Values("lts", "nsga2", "local", "random", "exhaustive",
                                         R"({"name":"lts","n_parents":10,"n_mutants":50})"));

/// Stops at a number of calls, and saves in the middle of them.
struct Interrupted {
  lts_search* search;
  int n_left;
  std::vector<std::string> seen;
  std::string saved;
};

int stop(void* user, std::uint64_t id, const lts_architecture* architecture, double* values, std::size_t n) {
  auto& self = *static_cast<Interrupted*>(user);
  if (self.n_left-- == 0) {
    Text state;
    EXPECT_EQ(lts_search_save(self.search, state.out()), LTS_OK) << lts_last_error();
    self.saved = state.str();
    return LTS_STOP;
  }
  if (id % 13 == 5) {
    measure(&self.seen, id, architecture, values, n);
    return LTS_FAILED;
  }
  return measure(&self.seen, id, architecture, values, n);
}

TEST(CApi, SearchesGoOnWhereTheyWereSaved) {
  const Objects o;
  const lts_search_options options = search_options("lts", 5);
  Interrupted whole{nullptr, 1000, {}, {}};
  ASSERT_EQ(lts_search_create(o.space, &options, &whole.search), LTS_OK);
  ASSERT_EQ(lts_search_run(whole.search, 300, stop, &whole, nullptr), LTS_OK);

  Interrupted parts{nullptr, 150, {}, {}};
  ASSERT_EQ(lts_search_create(o.space, &options, &parts.search), LTS_OK);
  std::uint64_t n_told = 0;
  ASSERT_EQ(lts_search_run(parts.search, 300, stop, &parts, &n_told), LTS_STOPPED);
  EXPECT_EQ(n_told, 150U);
  lts_search_destroy(parts.search);
  // The candidate that was being measured waits.
  ASSERT_EQ(lts_search_restore(parts.saved.c_str(), &parts.search), LTS_OK) << lts_last_error();
  std::uint64_t id = 0;
  ASSERT_EQ(lts_search_next_pending(parts.search, 0, o.scratch, &id), LTS_OK);
  EXPECT_EQ(id, 150U);
  EXPECT_EQ(lts_search_next_pending(parts.search, 151, o.scratch, &id), LTS_EXHAUSTED);
  parts.n_left = 1000;
  ASSERT_EQ(lts_search_run(parts.search, 150, stop, &parts, nullptr), LTS_OK);
  EXPECT_EQ(parts.seen, whole.seen);
  Text one;
  Text two;
  ASSERT_EQ(lts_search_save(whole.search, one.out()), LTS_OK);
  ASSERT_EQ(lts_search_save(parts.search, two.out()), LTS_OK);
  EXPECT_EQ(one.str(), two.str());
  lts_search_destroy(whole.search);
  lts_search_destroy(parts.search);
}

TEST(CApi, SpacesAreUsedUp) {
  lts_space* space = nullptr;
  ASSERT_EQ(lts_space_from_json(R"({"n_layer":[1],"d_model":[64],"n_head":[1,2],"d_ff":[64,128]})", &space), LTS_OK);
  const lts_search_options options = search_options();
  lts_search* search = nullptr;
  ASSERT_EQ(lts_search_create(space, &options, &search), LTS_OK);
  std::vector<std::string> seen;
  std::uint64_t n_told = 0;
  EXPECT_EQ(lts_search_run(search, 10, measure, &seen, &n_told), LTS_EXHAUSTED);
  EXPECT_EQ(n_told, 4U);
  lts_architecture* architecture = nullptr;
  ASSERT_EQ(lts_architecture_from_json(seen[0].c_str(), &architecture), LTS_OK);
  std::uint64_t id = 77;
  EXPECT_EQ(lts_search_add(search, architecture, &id), LTS_REPEATED);
  EXPECT_EQ(lts_search_ask(search, architecture, &id), LTS_EXHAUSTED);
  EXPECT_EQ(id, 77U);
  lts_architecture_destroy(architecture);
  lts_search_destroy(search);
  lts_space_destroy(space);
}

TEST(CApi, HandlesAreManyButNotEndless) {
  std::vector<lts_architecture*> handles(70'000, nullptr);
  lts_status status = LTS_OK;
  std::size_t n = 0;
  while (n < handles.size() && (status = lts_architecture_create(&handles[n])) == LTS_OK) ++n;
  EXPECT_EQ(status, LTS_OUT_OF_MEMORY);
  EXPECT_EQ(n, 65'536U);
  for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(lts_architecture_destroy(handles[i]), LTS_OK);
  ASSERT_EQ(lts_architecture_create(&handles[0]), LTS_OK);
  EXPECT_EQ(lts_architecture_destroy(handles[0]), LTS_OK);
}

}  // namespace
}  // namespace lts::test
