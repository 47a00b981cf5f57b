// Construction of a search space: which layers go with which widths, and how many architectures that makes.

#include <algorithm>
#include <map>
#include <stdexcept>
#include <tuple>

#include "lts/cost.hpp"
#include "lts/error.hpp"
#include "lts/search_space.hpp"
#include "search_space_detail.hpp"

namespace lts {

using namespace detail;

namespace {

// A space within this, and what its options and counting may take, is built in seconds, whatever its choices; published
// ones need a tenth.
constexpr std::size_t kMaxGroups = 1'000'000;

/// Whether the architecture is valid; the first refusal is kept for the message of a space that turns out empty.
bool accepted(const Architecture& architecture, std::string& refusal) {
  if (valid(architecture)) return true;
  if (refusal.empty()) {
    try {
      validate(architecture);
    } catch (const std::invalid_argument& error) {
      refusal = error.what();
    }
  }
  return false;
}

/// What no layer of any width keeps, where the family would allow some.
std::string_view broken_rule(const SearchSpaceOptions& o) {
  const auto some = [&o](const auto& fits) { return std::any_of(o.d_model.begin(), o.d_model.end(), fits); };
  const auto ff_fits = [&o](std::int64_t d_model) {
    const std::vector<std::int64_t> widths = d_ff_choices(o, d_model);
    return std::any_of(widths.begin(), widths.end(),
                       [&](std::int64_t d_ff) { return ff_ratio_fits(o, d_ff, d_model); });
  };
  const auto some_heads_fit = [&o](std::int64_t d_model) {
    const std::vector<Heads> choices = head_choices(o);
    const std::vector<std::int64_t> fixed = head_dims_of(o);
    return std::any_of(choices.begin(), choices.end(), [&](const Heads& heads) {
      return heads.n_head == 0 || std::any_of(fixed.begin(), fixed.end(), [&](std::int64_t head_dim) {
               return has(o.head_dims, head_dim > 0 ? head_dim : d_model / heads.n_head);
             });
    });
  };
  if (!some(ff_fits)) {
    return o.max_ff_ratio ? "no d_ff is from min_ff_ratio * d_model to max_ff_ratio * d_model"
                          : "no d_ff is at least min_ff_ratio * d_model";
  }
  return some(some_heads_fit) ? "no d_model has both heads of head_dims and a d_ff within the ratios"
                              : "no n_head makes heads as wide as head_dims says";
}

}  // namespace

SearchSpace::SearchSpace(SearchSpaceOptions options)
    : options_(std::move(options)),
      family_(&check_options(options_)),
      bounded_(!options_.decoder_params.unbounded() || !options_.total_params.unbounded()) {
  for (std::size_t bias = 0; bias < std::max<std::size_t>(1, options_.bias.size()); ++bias) {
    details_.push_back(details_of(options_, *family_, bias));
  }
  build();
}

void SearchSpace::build() {
  std::string refusal;
  LayerSet common;
  for (const std::int64_t d_model : options_.d_model) {
    common.d_model = d_model;
    for (const std::int64_t head_dim : head_dims_of(options_)) {
      common.head_dim = head_dim;
      for (common.bias = 0; common.bias < details_.size(); ++common.bias) add_layer_sets(common, refusal);
    }
  }
  Budget budget{.words = kMaxWords, .steps = kMaxSteps};
  std::vector<EmbeddingChoice> embeddings;
  for (std::uint32_t s = 0; s < layer_sets_.size(); ++s) {
    const std::int64_t d_model = layer_sets_[s].d_model;
    if (s == 0 || d_model != layer_sets_[s - 1].d_model) embeddings = embedding_choices(d_model, refusal);
    add_groups(s, embeddings, budget);
  }
  std::erase_if(groups_, [](const Group& g) { return g.count.is_zero(); });
  if (groups_.empty()) refuse(refusal);
  for (Group& group : groups_) {
    group.begin = size_;
    size_ += group.count;
  }
  for (const Group& group : groups_) thresholds_.push_back(fraction_of_2_64(group.begin + group.count, size_));
}

/// Which layers go with what all have in common: all combinations of heads and widths that the rules allow, split by
/// the values of the shared dimensions.
void SearchSpace::add_layer_sets(const LayerSet& common, std::string& refusal) {
  const SearchSpaceOptions& o = options_;
  using Shared = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
  std::map<Shared, LayerSet> sets;
  const std::int64_t d_model = common.d_model;
  Architecture probe = skeleton();
  probe.d_model = d_model;
  probe.head_dim = common.head_dim;
  probe.details = details_[common.bias];
  const std::vector<std::int64_t> widths = d_ff_choices(o, d_model);
  for (const auto& [n_head, n_kv_head] : head_choices(o)) {
    for (const std::int64_t d_ff : widths) {
      const Layer layer{.n_head = n_head, .n_kv_head = n_kv_head, .d_ff = d_ff};
      if (!ff_ratio_fits(o, d_ff, d_model) || !heads_fit(o, probe, layer)) continue;
      probe.layers = {layer};
      if (layer.empty()) probe.layers.push_back({.n_head = 0, .n_kv_head = 0});  // none is without any weights
      if (!accepted(probe, refusal)) continue;
      LayerSet& set =
          sets.try_emplace(
                  {o.shared_n_head ? n_head : 0, shares_n_kv_head(o) ? n_kv_head : 0, o.shared_d_ff ? d_ff : 0}, common)
              .first->second;
      set.layers.push_back(layer);
      if (bounded_) set.params.push_back(layer_params(probe, layer));
    }
  }
  for (auto& [shared, set] : sets) layer_sets_.push_back(std::move(set));
}

/// The embeddings that go with a width, whatever the layers.
std::vector<SearchSpace::EmbeddingChoice> SearchSpace::embedding_choices(std::int64_t d_model,
                                                                         std::string& refusal) const {
  std::vector<EmbeddingChoice> choices;
  Architecture probe = skeleton();
  std::uint32_t probed = 0;
  for (std::uint32_t s = 0; s < layer_sets_.size(); ++s) {
    const LayerSet& set = layer_sets_[s];
    if (set.d_model != d_model) continue;
    const Layer& widest = set.layers.back();  // which is not empty if another of the set is not
    if (!probe.layers.empty() && widest.empty()) continue;
    probe.layers = {widest};
    probed = s;
  }
  for (const std::int64_t d_embed : options_.d_embed) {
    for (const std::int64_t div_val : options_.div_val) {
      apply({.d_model = d_model, .d_embed = d_embed, .div_val = div_val, .layer_set = probed}, probe);
      if (accepted(probe, refusal)) choices.push_back({d_embed, div_val});
    }
  }
  return choices;
}

/// The blocks and groups of one set of layers, counted.
void SearchSpace::add_groups(std::uint32_t layer_set, const std::vector<EmbeddingChoice>& embeddings, Budget& budget) {
  const SearchSpaceOptions& o = options_;
  LayerSet& set = layer_sets_[layer_set];
  const std::size_t first_group = groups_.size();
  if (embeddings.size() > (kMaxGroups - first_group) / o.n_layer.size()) {
    throw_invalid({"the choices of d_model, d_embed, div_val, n_layer and the shared dimensions make more than ",
                   std::to_string(kMaxGroups), " combinations; use fewer, or coarser steps"});
  }
  const std::int64_t largest = bounded_ ? *std::max_element(set.params.begin(), set.params.end()) : 0;
  std::int64_t max_sum = 0;
  for (const auto& [d_embed, div_val] : embeddings) {
    const Block block{.d_model = set.d_model, .d_embed = d_embed, .div_val = div_val, .layer_set = layer_set};
    Group group;
    group.block = static_cast<std::uint32_t>(blocks_.size());
    if (bounded_) {
      Architecture probe = skeleton();
      apply(block, probe);
      probe.layers = {set.layers.front()};
      set_bounds(group, probe);
      max_sum = std::max(max_sum, std::min(group.max_sum, o.n_layer.back() * largest));
    }
    for (const std::int64_t n_layer : o.n_layer) {
      group.n_layer = n_layer;
      groups_.push_back(group);
    }
    blocks_.push_back(block);
  }
  if (bounded_ && max_sum > 0) build_ways(set, max_sum, budget);
  const auto keep = [&](Group& group, BigUint count) {
    if (has_empty(set) && group.min_sum <= 0 && group.max_sum >= 0) {
      group.n_left_out = 1;
      count -= BigUint(1);
    }
    budget.keep(count);
    budget.keep(count);  // the index that it begins at
    group.count = std::move(count);
  };
  // Of every depth for the first embedding, then of the others, from small to large: none is counted twice.
  const std::size_t n_depths = o.n_layer.size();
  BigUint power(1);
  std::int64_t depth = 0;
  for (std::size_t g = first_group; g < groups_.size(); ++g) {
    Group& group = groups_[g];
    if (bounded_) {
      if (set.ways == nullptr) continue;
      keep(group, (*set.ways)[static_cast<std::size_t>(group.n_layer)].between(group.min_sum, group.max_sum));
    } else if (g >= first_group + n_depths) {
      keep(group, groups_[g - n_depths].count + BigUint(groups_[g - n_depths].n_left_out));
    } else {
      for (; depth < group.n_layer; ++depth) power *= static_cast<std::uint32_t>(set.layers.size());
      keep(group, power);
    }
  }
}

/// The bounds of the layers' parameters: those of the options less what else the architecture has.
void SearchSpace::set_bounds(Group& group, const Architecture& probe) const {
  group.min_sum = kNoMin;
  group.max_sum = kNoMax;
  const auto bind = [&group](const Bounds& bounds, std::int64_t rest) {  // any negative bound is as good as -1
    if (bounds.min) group.min_sum = std::max(group.min_sum, std::max<std::int64_t>(*bounds.min, -1) - rest);
    if (bounds.max) group.max_sum = std::min(group.max_sum, std::max<std::int64_t>(*bounds.max, -1) - rest);
  };
  const std::int64_t one = layer_params(probe, probe.layers.front());
  bind(options_.decoder_params, decoder_params(probe) - one);
  bind(options_.total_params, total_params(probe) - one);
}

void SearchSpace::refuse(const std::string& refusal) const {
  const SearchSpaceOptions& o = options_;
  if (blocks_.empty()) {
    throw_invalid({"the choices and rules leave no architecture: ", refusal.empty() ? broken_rule(o) : refusal});
  }
  std::int64_t least = kNoMax;
  std::int64_t most = 0;
  for (const Block& block : blocks_) {
    const LayerSet& set = layer_sets_[block.layer_set];
    const auto [smallest, largest] = std::minmax_element(set.params.begin(), set.params.end());
    Architecture probe = skeleton();
    apply(block, probe);
    const std::int64_t rest = decoder_params(probe);
    least = std::min(least, o.n_layer.front() * *smallest + rest);
    most = std::max(most, o.n_layer.back() * *largest + rest);
  }
  throw_invalid({"the parameter bounds leave no architecture: decoder_params ", describe(o.decoder_params),
                 ", total_params ", describe(o.total_params), ", while the choices reach from ", number(least), " to ",
                 number(most), " decoder parameters"});
}

}  // namespace lts
