// What is claimed about the speed of the core, on one thread. Before a rate counts, the results it is about are checked
// against numbers found another way; run with --benchmark_repetitions=5 for the spread.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lts/analytic.hpp"
#include "lts/cost.hpp"
#include "lts/importance.hpp"
#include "lts/knapsack.hpp"
#include "lts/layer_costs.hpp"
#include "lts/proxy.hpp"
#include "lts/search.hpp"
#include "lts/surrogate.hpp"

namespace {

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last, std::int64_t step) {
  std::vector<std::int64_t> values;
  for (std::int64_t v = first; v <= last; v += step) values.push_back(v);
  return values;
}

/// The GPT-2 space of LiteTransformerSearch: up to 16 layers, each with its own heads and feed-forward width.
lts::SearchSpaceOptions gpt2_lts(std::vector<std::int64_t> n_layer) {
  lts::SearchSpaceOptions options;
  options.name = "gpt2-lts";
  options.n_layer = std::move(n_layer);
  options.d_model = range(128, 1024, 64);
  options.n_head = {2, 4, 8};
  options.d_ff = range(256, 4096, 64);
  return options;
}

/// docs/counting.md
std::int64_t decoder_params_by_formula(const lts::Architecture& a) {
  const std::int64_t d = a.d_model;
  std::int64_t sum = 2 * d;
  for (const lts::Layer& layer : a.layers) {
    sum += (4 * d * d + 4 * d) + (2 * d * layer.d_ff + layer.d_ff + d) + 4 * d;
  }
  return sum;
}

/// Sampling of 16-layer architectures and the exact count of their decoder parameters.
void sample_and_count(benchmark::State& state) {
  const lts::SearchSpace space(gpt2_lts({16}));
  lts::Random random(1);
  lts::Architecture architecture;
  for (int i = 0; i < 1000; ++i) {
    space.sample(random, architecture);
    if (lts::decoder_params(architecture) != decoder_params_by_formula(architecture)) {
      state.SkipWithError("decoder_params is not the closed formula");
      return;
    }
  }
  for ([[maybe_unused]] auto _ : state) {
    space.sample(random, architecture);
    benchmark::DoNotOptimize(lts::decoder_params(architecture));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(sample_and_count);

/// zerolm by the shapes of GPT-2's matrices.
double zerolm_by_formula(const lts::Architecture& a) {
  double sum = 0;
  for (const lts::Layer& layer : a.layers) {
    sum += 4.0 * static_cast<double>(a.d_model) + 2.0 * static_cast<double>(std::max(a.d_model, layer.d_ff));
  }
  return 0.5 * lts::default_variance * sum;
}

/// A proxy in closed form of 16-layer architectures.
void proxy(benchmark::State& state, double (*function)(const lts::Architecture&)) {
  const lts::SearchSpace space(gpt2_lts({16}));
  lts::Random random(1);
  std::vector<lts::Architecture> architectures(1000);
  for (lts::Architecture& a : architectures) {
    space.sample(random, a);
    if (std::abs(lts::zerolm(a) / zerolm_by_formula(a) - 1) > 1e-12) {
      state.SkipWithError("zerolm is not the closed formula");
      return;
    }
  }
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(function(architectures[i]));
    i = i + 1 == architectures.size() ? 0 : i + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(proxy, geometric, [](const lts::Architecture& a) { return lts::geometric(a); });
BENCHMARK_CAPTURE(proxy, zerolm, [](const lts::Architecture& a) { return lts::zerolm(a); });
BENCHMARK_CAPTURE(proxy, depth_weighted, [](const lts::Architecture& a) { return lts::depth_weighted(a); });

/// Predicting the cost of 16-layer architectures with a surrogate of additive terms.
void predict(benchmark::State& state) {
  const lts::SearchSpace space(gpt2_lts({16}));
  lts::Random random(1);
  std::vector<lts::Architecture> architectures(1000);
  for (lts::Architecture& a : architectures) space.sample(random, a);
  std::vector<lts::CostSample> samples;
  for (const lts::Architecture& a : architectures) {
    if (samples.size() < 50) samples.push_back({.architecture = a, .value = lts::flops_prefill(a)});
  }
  const lts::Surrogate surrogate = lts::Surrogate::fit(samples);
  for (const lts::Architecture& a : architectures) {
    if (std::abs(surrogate.predict(a) / lts::flops_prefill(a) - 1) > 1e-3) {
      state.SkipWithError("operations are a sum of the terms, and are not predicted");
      return;
    }
  }
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(surrogate.predict(architectures[i]));
    i = i + 1 == architectures.size() ? 0 : i + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(predict);

/// Operations of the parts of the architectures of a space, by their keys.
lts::LayerCosts::Tables operations_of(const lts::SearchSpaceOptions& space) {
  const auto flops = [](std::int64_t d, std::int64_t h, std::int64_t f, std::size_t n_layer) {
    lts::Architecture a = lts::SearchSpace(gpt2_lts({2})).at(lts::BigUint(0));
    a.d_model = d;
    a.layers.assign(n_layer, {.n_head = h, .n_kv_head = h, .d_ff = f});
    return lts::flops_prefill(a);
  };
  lts::LayerCosts::Tables tables;
  for (const std::int64_t d : space.d_model) {
    // A layer costs what one more of them adds; its halves are told apart by d_ff.
    const double per_d_ff = flops(d, 2, 2, 1) - flops(d, 2, 1, 1);
    for (const std::int64_t f : space.d_ff) tables.feed_forward.push_back({d, f, per_d_ff * static_cast<double>(f)});
    for (const std::int64_t h : space.n_head) {
      tables.attention.push_back({d, h, h, flops(d, h, 1, 2) - flops(d, h, 1, 1) - per_d_ff});
    }
    tables.rest.push_back({.d_model = d, .value = 2 * flops(d, 2, 1, 1) - flops(d, 2, 1, 2)});
  }
  return tables;
}

/// Looking up the cost of 16-layer architectures, each layer with widths of its own.
void look_up(benchmark::State& state) {
  const lts::SearchSpace space(gpt2_lts({16}));
  lts::Random random(1);
  std::vector<lts::Architecture> architectures(1000);
  for (lts::Architecture& a : architectures) space.sample(random, a);
  const lts::LayerCosts costs(operations_of(space.options()));
  for (const lts::Architecture& a : architectures) {
    if (std::abs(costs.predict(a) / lts::flops_prefill(a) - 1) > 1e-12) {
      state.SkipWithError("operations are a sum over the layers, and are not found");
      return;
    }
  }
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(costs.predict(architectures[i]));
    i = i + 1 == architectures.size() ? 0 : i + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(look_up);

void sample_only(benchmark::State& state) {
  const lts::SearchSpace space(gpt2_lts({16}));
  lts::Random random(1);
  lts::Architecture architecture;
  for ([[maybe_unused]] auto _ : state) {
    space.sample(random, architecture);
    benchmark::DoNotOptimize(architecture.layers.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(sample_only);

/// One analytic quantity of a 16-layer architecture.
void analytic(benchmark::State& state, std::string_view name) {
  const lts::SearchSpace space(gpt2_lts({16}));
  lts::Random random(1);
  std::array<lts::Architecture, 64> architectures;
  for (lts::Architecture& a : architectures) a = space.sample(random);
  const lts::AnalyticFunction function = lts::analytic(name);
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state)
    benchmark::DoNotOptimize(function(architectures[++i % architectures.size()], {}));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(analytic, decoder_params, "decoder_params");
BENCHMARK_CAPTURE(analytic, flops_prefill, "flops_prefill");
BENCHMARK_CAPTURE(analytic, peak_memory_estimate_mib, "peak_memory_estimate_mib");

/// Whole evolutionary steps: variation, repair, decoding, three analytic objectives, archive. The argument is the
/// number of candidates of one search; the front, and with it the work of the archive, grows with it.
void lts_evolution(benchmark::State& state) {
  const std::array<lts::AnalyticFunction, 3> functions{lts::analytic("decoder_params"), lts::analytic("flops_prefill"),
                                                       lts::analytic("peak_memory_estimate_mib")};
  const auto evaluate = [&functions](const lts::Architecture& a, std::span<double> values) {
    for (std::size_t i = 0; i < functions.size(); ++i) values[i] = functions[i](a, {});
  };
  const auto n = static_cast<std::uint64_t>(state.range(0));
  const lts::SearchSpace space(gpt2_lts(range(2, 16, 1)));
  std::size_t front = 0;
  for ([[maybe_unused]] auto _ : state) {
    lts::Search search(space, {.objectives = {{"decoder_params", lts::Direction::maximize},
                                              {"flops_prefill", lts::Direction::minimize},
                                              {"peak_memory_estimate_mib", lts::Direction::minimize}},
                               .constraints = {},
                               .algorithm = lts::LtsEvolutionOptions{},
                               .seed = 1});
    if (search.run(n, evaluate) != n) state.SkipWithError("the space was used up");
    front = search.archive().size();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.counters["front"] = static_cast<double>(front);
}
BENCHMARK(lts_evolution)->Arg(10'000)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

/// Sub-networks of a model as large as SmolLM2-135M, and what they lose.
struct Pruned {
  lts::SearchSpaceOptions space;
  lts::LossTable::State table;

  Pruned() {
    space.family = "llama";
    space.vocab_size = 49152;
    space.head_dim = 64;
    space.n_layer = {30};
    space.d_model = {576};
    space.heads = {{0, 0}, {3, 1}, {6, 2}, {9, 3}};
    space.d_ff = range(0, 1536, 64);
    for (std::int64_t l = 0; l < 30; ++l) {
      const double weight = 1 + static_cast<double>(l * 7 % 30) / 10;
      for (const auto& [n_head, n_kv_head] : space.heads) {
        table.attention.push_back({l, n_head, n_kv_head, weight * static_cast<double>(9 - n_head) / 90, 0});
      }
      for (const std::int64_t f : space.d_ff) {
        const double cut = static_cast<double>(1536 - f) / 1536;
        table.feed_forward.push_back({l, f, weight * cut * cut / 10, 0});
      }
    }
  }
};

/// Predicting the loss of sub-networks of 30 layers from a table.
void predict_loss(benchmark::State& state) {
  const Pruned pruned;
  const lts::SearchSpace space(pruned.space);
  const lts::LossTable table(pruned.table);
  lts::Random random(1);
  std::vector<lts::Architecture> architectures(1000);
  for (lts::Architecture& a : architectures) {
    space.sample(random, a);
    double sum = 0;
    for (std::size_t l = 0; l < a.layers.size(); ++l) {
      const double weight = 1 + static_cast<double>(l * 7 % 30) / 10;
      const double cut = static_cast<double>(1536 - a.layers[l].d_ff) / 1536;
      sum += weight * (static_cast<double>(9 - a.layers[l].n_head) / 90 + cut * cut / 10);
    }
    if (std::abs(table.predict(a) / sum - 1) > 1e-12) {
      state.SkipWithError("the loss is not the sum of the table");
      return;
    }
  }
  std::size_t i = 0;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(table.predict(architectures[i]));
    i = i + 1 == architectures.size() ? 0 : i + 1;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(predict_loss);

/// Whole evolutionary steps on a predicted loss and the decoder's parameters.
void compress_evolution(benchmark::State& state) {
  const Pruned pruned;
  const lts::SearchSpace space(pruned.space);
  const lts::LossTable table(pruned.table);
  const auto evaluate = [&table](const lts::Architecture& a, std::span<double> values) {
    values[0] = table.predict(a);
    values[1] = static_cast<double>(lts::decoder_params(a));
  };
  const auto n = static_cast<std::uint64_t>(state.range(0));
  for ([[maybe_unused]] auto _ : state) {
    lts::Search search(space, {.objectives = {{"predicted_loss"}, {"decoder_params"}}, .seed = 1});
    if (search.run(n, evaluate) != n) state.SkipWithError("the space was used up");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(compress_evolution)->Arg(100'000)->Unit(benchmark::kMillisecond);

/// The exact front of losses and decoder parameters of the same space, which no evolved candidate is better than.
void knapsack_front(benchmark::State& state) {
  const Pruned pruned;
  const lts::SearchSpace space(pruned.space);
  const lts::LossTable table(pruned.table);
  const auto cost = [](const lts::Architecture& a) { return static_cast<double>(lts::decoder_params(a)); };
  std::size_t size = 0;
  for ([[maybe_unused]] auto _ : state) {
    const lts::KnapsackFront front(space, table, cost);
    size = front.costs().size();
    benchmark::DoNotOptimize(front.losses().data());
  }
  state.counters["front"] = static_cast<double>(size);
}
BENCHMARK(knapsack_front)->Unit(benchmark::kMillisecond);

}  // namespace
