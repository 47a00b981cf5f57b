// What the C interface of the shared library costs beside the C++ interface of the static one: the same work by both,
// in one run, on one thread, after a check that both come to the same.

#include <benchmark/benchmark.h>
#include <lts/lts.h>

#include <array>
#include <cstdint>
#include <lts/lts.hpp>
#include <string>
#include <vector>

namespace {

constexpr const char* kSpace =
    R"({"n_layer":[16],"d_model":[256,512,768,1024],"n_head":[2,4,8],"d_ff":[512,1024,1536,2048,3072,4096]})";
constexpr std::array kObjectives{"decoder_params:max", "flops_prefill:min"};
constexpr std::uint64_t kTrials = 100'000;

lts::Search search_in_cpp() {
  return {lts::SearchSpace(lts::search_space_from_json(kSpace)),
          {.objectives = {lts::parse_objective(kObjectives[0]), lts::parse_objective(kObjectives[1])}, .seed = 1}};
}

void run_in_cpp(lts::Search& search) {
  const std::array functions{lts::analytic("decoder_params"), lts::analytic("flops_prefill")};
  search.run(kTrials, [&functions](const lts::Architecture& a, std::span<double> values) {
    for (std::size_t i = 0; i < functions.size(); ++i) values[i] = functions[i](a, {});
  });
}

lts_search* search_in_c() {
  lts_space* space = nullptr;
  lts_search* search = nullptr;
  lts_search_options options = LTS_SEARCH_OPTIONS_INIT;
  options.objectives = kObjectives.data();
  options.n_objectives = kObjectives.size();
  options.seed = 1;
  lts_space_from_json(kSpace, &space);
  lts_search_create(space, &options, &search);
  lts_space_destroy(space);
  return search;
}

int measure(void* /*user*/, std::uint64_t /*id*/, const lts_architecture* architecture, double* values, std::size_t) {
  lts_count(architecture, "decoder_params", nullptr, &values[0]);
  lts_count(architecture, "flops_prefill", nullptr, &values[1]);
  return LTS_MEASURED;
}

void search_cpp(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    lts::Search search = search_in_cpp();
    run_in_cpp(search);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTrials));
}
BENCHMARK(search_cpp)->Unit(benchmark::kMillisecond);

void search_c(benchmark::State& state) {
  lts::Search same = search_in_cpp();
  run_in_cpp(same);
  lts_search* checked = search_in_c();
  char* text = nullptr;
  if (lts_search_run(checked, kTrials, measure, nullptr, nullptr) != LTS_OK ||
      lts_search_save(checked, &text) != LTS_OK || text != lts::to_json(same.state())) {
    state.SkipWithError("the searches are not the same");
  }
  lts_free_text(text);
  lts_search_destroy(checked);
  for ([[maybe_unused]] auto _ : state) {
    lts_search* search = search_in_c();
    lts_search_run(search, kTrials, measure, nullptr, nullptr);
    lts_search_destroy(search);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTrials));
}
BENCHMARK(search_c)->Unit(benchmark::kMillisecond);

void count_cpp(benchmark::State& state) {
  const lts::Architecture a = lts::SearchSpace(lts::search_space_from_json(kSpace)).at(12345);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(lts::decoder_params(a));
}
BENCHMARK(count_cpp);

void count_c(benchmark::State& state) {
  lts_space* space = nullptr;
  lts_architecture* architecture = nullptr;
  lts_space_from_json(kSpace, &space);
  lts_architecture_create(&architecture);
  lts_space_at(space, "12345", architecture);
  double value = 0;
  for ([[maybe_unused]] auto _ : state) {
    lts_count(architecture, "decoder_params", nullptr, &value);
    benchmark::DoNotOptimize(value);
  }
  lts_architecture_destroy(architecture);
  lts_space_destroy(space);
}
BENCHMARK(count_c);

}  // namespace
