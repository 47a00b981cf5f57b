// Counting, predicting, decoding and sampling allocate nothing once they are warm. A program of its own: it replaces
// operator new by one that counts.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "architecture_fixture.hpp"
#include "loss_table_fixture.hpp"
#include "lts/analytic.hpp"
#include "lts/cost.hpp"
#include "lts/encoding.hpp"
#include "lts/layer_costs.hpp"
#include "lts/proxy.hpp"
#include "lts/search_space.hpp"
#include "lts/surrogate.hpp"
#include "lts/variation.hpp"

namespace {

std::size_t n_allocations = 0;  // by the only thread

void* counted(std::size_t size, std::size_t alignment = alignof(std::max_align_t)) {
  ++n_allocations;
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* const memory = std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Inlined where it is called, GCC would compare it with the `operator new` that was not, and warn.
[[gnu::noinline]] void release(void* memory) noexcept { std::free(memory); }

}  // namespace

// Those of arrays and those that do not throw call these.
void* operator new(std::size_t size) { return counted(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { release(memory); }
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept { release(memory); }

namespace lts {
namespace {

/// Allocations of many calls after a first one.
template <class Function>
std::size_t allocations_of(const Function& function) {
  function();
  const std::size_t before = n_allocations;
  for (int i = 0; i < 200; ++i) function();
  return n_allocations - before;
}

double sink = 0;  // so that no call is left out

/// A space of a family, with all that can make it allocate: adaptive embeddings where there are any, many depths.
SearchSpaceOptions space_of(const Family& family) {
  SearchSpaceOptions o;
  o.name = family.name;
  o.family = family.name;
  o.vocab_size = 50'000;
  o.n_layer = {1, 2, 3, 5, 8, 12, 16};
  o.d_model = {128, 256, 512};
  o.n_head = {2, 4, 8};
  o.d_ff = {256, 320, 512, 768, 1024};
  if (family.attention == Attention::grouped_query) o.n_kv_head = {1, 2, 4};
  if (family.name.starts_with("hw_gpt")) o.head_dim = 64;
  if (family.adaptive_allowed) {
    o.cutoffs = {2'000, 4'000, 20'000};
    o.tie_projs = {false, true, false};
    o.tie_embedding = true;
    o.d_embed = {-1, 128, 256};
    o.div_val = {1, 2, 4};
  }
  return o;
}

std::vector<SearchSpaceOptions> spaces() {
  std::vector<SearchSpaceOptions> all;
  for (const Family& family : families()) {
    if (family.encoder) continue;  // these have no search spaces
    SearchSpaceOptions space = space_of(family);
    all.push_back(space);
    space.name += ", bounded";
    space.decoder_params = {.min = 1'000'000, .max = 20'000'000};
    space.total_params.max = 40'000'000;
    all.push_back(space);
    SearchSpaceOptions plain = space_of(family);
    plain.name += ", plain";
    plain.cutoffs.clear();
    plain.tie_projs.clear();
    plain.d_embed = {-1};
    plain.div_val = {1};
    all.push_back(plain);
  }
  return all;
}

/// Many architectures of every family.
std::vector<Architecture> architectures() {
  std::vector<Architecture> all;
  Random random(1);
  for (const SearchSpaceOptions& options : spaces()) {
    const SearchSpace space(options);
    for (int i = 0; i < 20; ++i) space.sample_choices(random, all.emplace_back());
  }
  for (const std::string_view name : {"flexibert", "flexibert_official"}) {
    for (int mixer = 0; mixer < n_mixers; ++mixer) {
      const Layer layer{.n_head = 4, .n_kv_head = 4, .d_ff = 1024, .n_ff = 3, .mixer = static_cast<Mixer>(mixer)};
      all.push_back(fixture::architecture_of(name, 30'522, 512, 256, {layer, layer}));
    }
  }
  for (const Architecture& a : all) validate(a);
  return all;
}

std::string described(const Architecture& a) {
  return std::string(a.family->name) + " of " + std::to_string(a.n_layer()) + " layers, d_model " +
         std::to_string(a.d_model) + ", d_embed " + std::to_string(a.d_embed) + ", div_val " +
         std::to_string(a.div_val) + ", " + std::to_string(a.cutoffs.size()) + " cutoffs";
}

TEST(Allocation, IsCounted) {
  EXPECT_EQ(allocations_of([] { ::operator delete(::operator new(8)); }), 200U);
  std::vector<double> values;
  EXPECT_EQ(allocations_of([&values] { values = std::vector<double>(values.size() + 1, sink); }), 200U);
  EXPECT_EQ(allocations_of([] { sink += 1; }), 0U);
}

TEST(Allocation, NotWhileCounting) {
  const Workload workload{.weights = Precision::int4, .activations = Precision::float16};
  for (const Architecture& a : architectures()) {
    SCOPED_TRACE(described(a));
    for (const std::string_view name : analytic_names()) {
      const bool of_decoders = name.starts_with("flops") || name.starts_with("kv_cache") || name.starts_with("peak");
      if (a.family->encoder && of_decoders) continue;
      const AnalyticFunction function = analytic(name);
      EXPECT_EQ(allocations_of([&] { sink += function(a, workload); }), 0U) << name;
    }
    EXPECT_EQ(allocations_of([&] { sink += static_cast<double>(count_parameters(a).total()); }), 0U);
    EXPECT_EQ(allocations_of([&] { sink += static_cast<double>(layer_params(a, a.layers.back())); }), 0U);
    EXPECT_EQ(allocations_of([&] { sink += static_cast<double>(weight_bytes(a, workload)); }), 0U);
    EXPECT_EQ(allocations_of([&] { sink += output_multiply_adds(a); }), 0U);
    EXPECT_EQ(allocations_of([&] { sink += geometric(a, 0.3) + zerolm(a, 0.3, 1e-3) + depth_weighted(a); }), 0U);
  }
}

TEST(Allocation, NotWhilePredicting) {
  for (const bool pairwise : {false, true}) {
    const std::size_t n = surrogate_feature_names(pairwise).size();
    const Surrogate surrogate({.pairwise = pairwise,
                               .n_samples = 50,
                               .quantile = 2.0,
                               .coefficients = std::vector<double>(n, 1e-9),
                               .covariance = std::vector<double>(n * n, 1e-20)});
    for (const Architecture& a : architectures()) {
      SCOPED_TRACE(described(a));
      EXPECT_EQ(allocations_of([&] { sink += cost_terms(a).back(); }), 0U);
      EXPECT_EQ(allocations_of([&] { sink += surrogate.predict(a); }), 0U);
      EXPECT_EQ(allocations_of([&] { sink += surrogate.interval(a).high; }), 0U);
    }
  }
}

TEST(Allocation, NotWhilePredictingLosses) {
  Random random(1);
  const fixture::Pruned pruned(random, 12);
  const SearchSpace space(pruned.space);
  const LossTable table(pruned.table);
  std::vector<Architecture> samples(5);
  for (Architecture& a : samples) space.sample(random, a);
  const LossTable fitted = table.refit(samples, std::vector<double>{1, 2, 3, 4, 5});
  for (const Architecture& a : samples) {
    EXPECT_EQ(allocations_of([&] { sink += table.predict(a) + fitted.predict(a); }), 0U);
    EXPECT_EQ(allocations_of([&] { sink += table.interval(a).high + fitted.interval(a).high; }), 0U);
  }
}

TEST(Allocation, NotWhileLookingUp) {
  for (const Architecture& a : architectures()) {
    if (a.family->encoder) continue;
    SCOPED_TRACE(described(a));
    LayerCosts::Tables tables{.rest = {{a.d_model, a.d_embed, a.div_val, 1.0}}, .plus = "peak_memory_estimate_mib"};
    for (std::size_t l = 0; l < a.layers.size(); ++l) {
      const Layer& layer = a.layers[l];
      const auto before = [&](const auto& same) {
        return std::any_of(a.layers.begin(), a.layers.begin() + static_cast<std::ptrdiff_t>(l), same);
      };
      if (!before([&](const Layer& o) { return o.n_head == layer.n_head && o.n_kv_head == layer.n_kv_head; })) {
        tables.attention.push_back({a.d_model, layer.n_head, layer.n_kv_head, 1.0});
      }
      if (!before([&](const Layer& o) { return o.d_ff == layer.d_ff; })) {
        tables.feed_forward.push_back({a.d_model, layer.d_ff, 1.0});
      }
    }
    const LayerCosts costs(std::move(tables));
    EXPECT_EQ(allocations_of([&] { sink += costs.predict(a); }), 0U);
  }
}

// The first call may well give the shallowest architecture, and the later ones the deepest.
TEST(Allocation, NotWhileSamplingAndDecoding) {
  for (const SearchSpaceOptions& options : spaces()) {
    SCOPED_TRACE(options.name);
    const SearchSpace space(options);
    const Encoding encoding(space);
    Random random(2);
    Architecture sampled;
    EXPECT_EQ(allocations_of([&] { space.sample(random, sampled); }), 0U);
    Architecture chosen;
    EXPECT_EQ(allocations_of([&] { space.sample_choices(random, chosen); }), 0U);
    std::vector<Genotype> genotypes;
    for (int i = 0; i < 50; ++i) genotypes.push_back(random_genotype(encoding, random));
    Architecture decoded;
    std::size_t next = 0;
    EXPECT_EQ(allocations_of([&] { encoding.decode(genotypes[next++ % genotypes.size()], decoded); }), 0U);
  }
}

// Bounds so tight that draws of layers rarely keep them, so that choices are drawn by index.
TEST(Allocation, NotWhileSamplingFromATightlyBoundedSpace) {
  SearchSpaceOptions options = space_of(family("gpt2"));
  options.decoder_params = {.min = 3'000'000, .max = 3'020'000};
  const SearchSpace space(options);
  Random random(3);
  Architecture sampled;
  EXPECT_EQ(allocations_of([&] { space.sample(random, sampled); }), 0U);
  EXPECT_EQ(allocations_of([&] { space.sample_choices(random, sampled); }), 0U);
}

}  // namespace
}  // namespace lts
