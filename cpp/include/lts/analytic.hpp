#pragma once

#include <span>
#include <string_view>

#include "lts/architecture.hpp"
#include "lts/cost.hpp"

namespace lts {

/// Names of what is counted rather than measured, as in objectives. Costs: decoder_params, total_params,
/// attention_params, ffn_params, embedding_params, flops_prefill, flops_decode, weight_mib, kv_cache_mib,
/// peak_memory_estimate_mib. Proxies, besides the counts of parameters: geometric, zerolm, depth_weighted.
std::span<const std::string_view> analytic_names() noexcept;

using AnalyticFunction = double (*)(const Architecture&, const Workload&);

/// The function of that name. @throws std::invalid_argument naming the known ones.
AnalyticFunction analytic(std::string_view name);

}  // namespace lts
