#include "lts/analytic.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "lts/error.hpp"
#include "lts/proxy.hpp"

namespace lts {

namespace {

struct Analytic {
  std::string_view name;
  AnalyticFunction function;
};

constexpr std::int64_t kBytesPerMib = std::int64_t{1024} * 1024;
constexpr double mib(std::int64_t n) { return static_cast<double>(n) / static_cast<double>(kBytesPerMib); }

constexpr std::array kAnalytic{
    Analytic{"decoder_params",
             [](const Architecture& a, const Workload&) { return static_cast<double>(decoder_params(a)); }},
    Analytic{"total_params",
             [](const Architecture& a, const Workload&) { return static_cast<double>(total_params(a)); }},
    Analytic{"attention_params",
             [](const Architecture& a, const Workload&) { return static_cast<double>(count_parameters(a).attention); }},
    Analytic{"ffn_params", [](const Architecture& a,
                              const Workload&) { return static_cast<double>(count_parameters(a).feed_forward); }},
    Analytic{"embedding_params",
             [](const Architecture& a, const Workload&) { return static_cast<double>(count_parameters(a).embedding); }},
    Analytic{"flops_prefill", flops_prefill},
    Analytic{"flops_decode", flops_decode},
    Analytic{"weight_mib", [](const Architecture& a, const Workload& w) { return mib(weight_bytes(a, w)); }},
    Analytic{"kv_cache_mib", [](const Architecture& a, const Workload& w) { return mib(kv_cache_bytes(a, w)); }},
    Analytic{"peak_memory_estimate_mib",
             [](const Architecture& a, const Workload& w) { return mib(peak_memory_bytes(a, w)); }},
    Analytic{"geometric", [](const Architecture& a, const Workload&) { return geometric(a); }},
    Analytic{"zerolm", [](const Architecture& a, const Workload&) { return zerolm(a); }},
    Analytic{"depth_weighted", [](const Architecture& a, const Workload&) { return depth_weighted(a); }},
};

constexpr auto kAnalyticNames = [] {
  std::array<std::string_view, kAnalytic.size()> names{};
  std::transform(kAnalytic.begin(), kAnalytic.end(), names.begin(), [](const Analytic& a) { return a.name; });
  return names;
}();

}  // namespace

std::span<const std::string_view> analytic_names() noexcept { return kAnalyticNames; }

AnalyticFunction analytic(std::string_view name) {
  for (const Analytic& a : kAnalytic) {
    if (a.name == name) return a.function;
  }
  std::string known;
  for (const std::string_view n : kAnalyticNames) known.append(known.empty() ? "" : ", ").append(n);
  throw_invalid({"unknown analytic quantity '", name, "'; expected one of ", known});
}

}  // namespace lts
