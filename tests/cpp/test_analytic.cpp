#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "architecture_fixture.hpp"
#include "lts/analytic.hpp"
#include "lts/proxy.hpp"
#include "message.hpp"

namespace lts {
namespace {

using oracle::message_of;

constexpr double mib = 1024.0 * 1024.0;

/// GPT-2 with clusters of 4 tokens of width 2 and 6 tokens of width 1.
Architecture adaptive() {
  Architecture a = fixture::small_gpt2();
  a.d_embed = 2;
  a.div_val = 2;
  a.cutoffs = {4, 10};
  return a;
}

TEST(Analytic, Names) {
  const std::vector<std::string_view> expected{
      "decoder_params", "total_params", "attention_params", "ffn_params",   "embedding_params",
      "flops_prefill",  "flops_decode", "weight_mib",       "kv_cache_mib", "peak_memory_estimate_mib",
      "geometric",      "zerolm",       "depth_weighted"};
  EXPECT_EQ(std::vector<std::string_view>(analytic_names().begin(), analytic_names().end()), expected);
  const Architecture a = adaptive();
  const Workload w{.batch = 2, .n_prompt = 3, .weights = Precision::float16, .activations = Precision::int8};
  const ParameterCounts counts = count_parameters(a);
  const std::vector<double> values{static_cast<double>(counts.decoder),
                                   static_cast<double>(counts.total()),
                                   static_cast<double>(counts.attention),
                                   static_cast<double>(counts.feed_forward),
                                   static_cast<double>(counts.embedding),
                                   flops_prefill(a, w),
                                   flops_decode(a, w),
                                   static_cast<double>(weight_bytes(a, w)) / mib,
                                   static_cast<double>(kv_cache_bytes(a, w)) / mib,
                                   static_cast<double>(peak_memory_bytes(a, w)) / mib,
                                   geometric(a),
                                   zerolm(a),
                                   depth_weighted(a)};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(analytic(expected[i])(a, w), values[i]) << expected[i];
}

TEST(Analytic, AnUnknownAnalyticNameListsTheKnown) {
  EXPECT_EQ(message_of([] { (void)analytic("latency_ms"); }),
            "unknown analytic quantity 'latency_ms'; expected one of decoder_params, total_params, attention_params, "
            "ffn_params, embedding_params, flops_prefill, flops_decode, weight_mib, kv_cache_mib, "
            "peak_memory_estimate_mib, geometric, zerolm, depth_weighted");
}

}  // namespace
}  // namespace lts
