// Architectures from JSON, and everything that is counted of them.

#include <array>
#include <cmath>
#include <vector>

#include "fuzz.hpp"

// NOLINTNEXTLINE(google-build-using-namespace): what follows is not in a namespace
using namespace lts::fuzz;

namespace {

void check_dimensions(const lts_architecture* architecture) {
  for (lts_dimension d = LTS_VOCAB_SIZE; d <= LTS_FEED_FORWARD_BIAS; ++d) {
    std::int64_t value = 0;
    must(lts_architecture_get(architecture, d, 0, &value), "every dimension can be had");
  }
  std::int64_t depth = 0;
  must(lts_architecture_get(architecture, LTS_N_LAYER, 0, &depth), "the depth can be had");
  const auto n = static_cast<std::size_t>(depth);
  std::vector<std::int64_t> values(n);
  for (lts_dimension d = LTS_N_HEAD; d <= LTS_MIXER; ++d) {
    must(lts_architecture_get_layers(architecture, d, values.data(), n), "dimensions of layers can be had");
    std::int64_t last = 0;
    must(lts_architecture_get(architecture, d, n - 1, &last), "the last layer can be had");
    expect(last == values.back(), "both ways to a layer agree");
    expect(!good(lts_architecture_get(architecture, d, n, &last)), "there is no layer after the last");
  }
}

void check_counts(const lts_architecture* architecture) {
  lts_workload least = LTS_WORKLOAD_INIT;
  least.n_prompt = 1;
  least.weight_bits = 4;
  least.activation_bits = 4;
  lts_workload most = LTS_WORKLOAD_INIT;
  most.batch = most.n_prompt = 1 << 20;
  for (std::size_t i = 0; lts_count_name(i) != nullptr; ++i) {
    for (const lts_workload* workload : std::array<const lts_workload*, 3>{nullptr, &least, &most}) {
      double value = -1;
      if (!good(lts_count(architecture, lts_count_name(i), workload, &value))) continue;
      expect(std::isfinite(value) && value >= 0, "counts are finite and not negative");
    }
  }
  lts_parameter_counts counts = LTS_PARAMETER_COUNTS_INIT;
  must(lts_count_parameters(architecture, &counts), "parameters can be counted");
  for (const std::int64_t n :
       {counts.attention, counts.feed_forward, counts.embedding, counts.decoder, counts.softmax, counts.total}) {
    expect(n >= 0 && n <= counts.total, "no part is larger than the whole");
  }
  expect(counts.embedding + counts.decoder + counts.softmax == counts.total, "the parts make the whole");
  for (const double alpha : {0.0, 0.5, 1.0}) {
    double value = -1;
    must(lts_geometric(architecture, alpha, &value), "the proxy can be had");
    expect(std::isfinite(value) && value >= 0, "geometric is finite and not negative");
    must(lts_zerolm(architecture, alpha, 0.02, &value), "the proxy can be had");
    expect(std::isfinite(value) && value >= 0, "zerolm is finite and not negative");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  OwnedArchitecture architecture;
  OwnedArchitecture again;
  if (!read_twice(data, size, lts_architecture_from_json, lts_architecture_to_json, architecture, again)) return 0;
  int equal = 0;
  must(lts_architecture_equal(architecture, again, &equal), "architectures can be compared");
  expect(equal == 1, "what was written is the same");
  check_dimensions(architecture);
  check_counts(architecture);
  const EmptyArchitecture fewer;
  must(lts_architecture_without_empty_layers(fewer, architecture), "empty layers can be left out");
  check_dimensions(fewer);
  std::array<lts_parameter_counts, 2> counts{{LTS_PARAMETER_COUNTS_INIT, LTS_PARAMETER_COUNTS_INIT}};
  must(lts_count_parameters(architecture, &counts[0]), "parameters can be counted");
  must(lts_count_parameters(fewer, &counts[1]), "parameters can be counted");
  expect(counts[0].total == counts[1].total, "empty layers have no parameters");
  return 0;
}
