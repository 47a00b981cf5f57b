// Construction of a search space: which layers go with which widths, and how many architectures that makes.

#include <algorithm>
#include <cmath>
#include <initializer_list>
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

// A space within these, and what counting may take, is built in seconds, whatever its choices; published ones need a
// tenth.
constexpr std::uint64_t kMaxLayers = std::uint64_t{1} << 22;      // combinations of the choices of a layer, and d_model
constexpr std::uint64_t kMaxEmbeddings = std::uint64_t{1} << 20;  // of those of the embedding, and d_model
constexpr std::size_t kMaxGroups = 1'000'000;

void check_choices(std::string_view name, std::vector<std::int64_t>& choices, std::int64_t min,
                   std::int64_t max = max_width) {
  if (choices.empty()) throw_invalid({name, " has no choices; give at least one"});
  std::sort(choices.begin(), choices.end());
  if (const auto twice = std::adjacent_find(choices.begin(), choices.end()); twice != choices.end()) {
    throw_invalid({name, " has the choice ", number(*twice), " twice; choices must be distinct"});
  }
  if (choices.front() < min) {
    throw_invalid({name, " has the choice ", number(choices.front()), "; it must be at least ", number(min)});
  }
  if (choices.back() > max) {
    throw_invalid({name, " has the choice ", number(choices.back()), "; it must be at most ", number(max)});
  }
}

/// Checks and sorts the pairs, which stand in place of n_head and n_kv_head.
void check_heads(SearchSpaceOptions& o, const Family& family) {
  if (!o.n_head.empty() || !o.n_kv_head.empty()) {
    throw_invalid({"heads has choices, and so has ", o.n_head.empty() ? "n_kv_head" : "n_head",
                   "; give either pairs or both dimensions"});
  }
  std::sort(o.heads.begin(), o.heads.end());
  if (const auto twice = std::adjacent_find(o.heads.begin(), o.heads.end()); twice != o.heads.end()) {
    throw_invalid({"heads has the choice ", describe(*twice), " twice; choices must be distinct"});
  }
  for (const Heads& heads : o.heads) {
    const auto& [n_head, n_kv_head] = heads;
    const auto refuse = [&](std::string_view rule) {
      throw_invalid({"heads has the choice ", describe(heads), "; ", rule});
    };
    if (n_head == 0 && n_kv_head == 0) {
      if (!family.parts_optional()) refuse("layers of " + o.family + " have attention");
      if (o.head_dim == 0) refuse("head_dim must be given, as there may be no layer that tells it");
      continue;
    }
    if (n_head < 1 || n_kv_head < 1 || n_head > max_width) {
      refuse("both must be from 1 to 1048576, or 0 for no attention");
    }
    if (family.attention == Attention::multi_head && n_head != n_kv_head) {
      refuse("both must be equal, as " + o.family + " has no grouped-query attention");
    }
    if (n_head % n_kv_head != 0) refuse("the first must be a multiple of the second");
  }
}

void check_bounds(std::string_view name, const Bounds& bounds) {
  if (bounds.min && bounds.max && *bounds.min > *bounds.max) {
    throw_invalid({"bounds of ", name, ": min ", number(*bounds.min), " is above max ", number(*bounds.max)});
  }
}

/// Refuses choices that make more combinations than that.
void check_product(std::string_view names, std::initializer_list<std::size_t> sizes, std::uint64_t most) {
  std::uint64_t product = 1;
  for (const std::size_t size : sizes) {
    if (size > most / product) {
      throw_invalid({"the choices of ", names, " make more than ", std::to_string(most),
                     " combinations; use fewer, or coarser steps"});
    }
    product *= std::max<std::size_t>(1, size);
  }
}

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
    return std::any_of(o.d_ff.begin(), o.d_ff.end(),
                       [&](std::int64_t d_ff) { return ff_ratio_fits(o, d_ff, d_model); });
  };
  const auto some_heads_fit = [&o](std::int64_t d_model) {
    const std::vector<Heads> choices = head_choices(o);
    return std::any_of(choices.begin(), choices.end(), [&](const Heads& heads) {
      return heads.n_head == 0 || has(o.head_dims, o.head_dim > 0 ? o.head_dim : d_model / heads.n_head);
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

std::vector<Heads> head_choices(const SearchSpaceOptions& o) {
  if (!o.heads.empty()) return o.heads;
  std::vector<Heads> pairs;
  for (const std::int64_t n_head : o.n_head) {
    if (o.n_kv_head.empty()) pairs.push_back({n_head, n_head});
    for (const std::int64_t n_kv_head : o.n_kv_head) pairs.push_back({n_head, n_kv_head});
  }
  return pairs;
}

SearchSpace::SearchSpace(SearchSpaceOptions options) : options_(std::move(options)) {
  SearchSpaceOptions& o = options_;
  family_ = &lts::family(o.family);
  if (family_->encoder) {
    throw_invalid({"family is ", o.family, "; there are no search spaces of encoders, only counts and proxies"});
  }
  o.details = differences(o.details, *family_);
  check_choices("n_layer", o.n_layer, 1, max_layers);
  check_choices("d_model", o.d_model, 1);
  if (o.heads.empty()) {
    check_choices("n_head", o.n_head, 1);
  } else {
    check_heads(o, *family_);
  }
  if (!o.n_kv_head.empty()) check_choices("n_kv_head", o.n_kv_head, 1);
  check_choices("d_ff", o.d_ff, family_->parts_optional() ? 0 : 1);
  check_choices("d_embed", o.d_embed, -1);
  if (has(o.d_embed, 0)) throw_invalid({"d_embed has the choice 0; it must be -1 (d_model) or at least 1"});
  check_choices("div_val", o.div_val, 1);
  if (!o.n_kv_head.empty() && family_->attention != Attention::grouped_query) {
    throw_invalid({"n_kv_head: ", o.family, " has no grouped-query attention; leave it out"});
  }
  if (o.n_kv_head.empty()) o.shared_n_kv_head = false;  // it follows n_head, shared or not
  if (!std::isfinite(o.min_ff_ratio) || o.min_ff_ratio < 0) {
    throw_invalid({"min_ff_ratio must be a finite number that is not negative"});
  }
  if (o.max_ff_ratio && (!std::isfinite(*o.max_ff_ratio) || *o.max_ff_ratio < o.min_ff_ratio)) {
    throw_invalid({"max_ff_ratio must be a finite number that is not below min_ff_ratio"});
  }
  if (!o.head_dims.empty()) check_choices("head_dims", o.head_dims, 1);
  check_bounds("decoder_params", o.decoder_params);
  check_bounds("total_params", o.total_params);
  check_product(o.heads.empty() ? "d_model, n_head, n_kv_head and d_ff" : "d_model, heads and d_ff",
                {o.d_model.size(), o.n_head.size(), o.n_kv_head.size(), o.heads.size(), o.d_ff.size()}, kMaxLayers);
  check_product("d_model, d_embed and div_val", {o.d_model.size(), o.d_embed.size(), o.div_val.size()}, kMaxEmbeddings);
  bounded_ = !o.decoder_params.unbounded() || !o.total_params.unbounded();
  build();
}

void SearchSpace::build() {
  std::string refusal;
  for (const std::int64_t d_model : options_.d_model) add_layer_sets(d_model, refusal);
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

/// Which layers go with a width: all combinations of heads and widths that the rules allow, split by the values of the
/// shared dimensions.
void SearchSpace::add_layer_sets(std::int64_t d_model, std::string& refusal) {
  const SearchSpaceOptions& o = options_;
  using Shared = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
  std::map<Shared, LayerSet> sets;
  Architecture probe = skeleton();
  probe.d_model = d_model;
  for (const auto& [n_head, n_kv_head] : head_choices(o)) {
    for (const std::int64_t d_ff : o.d_ff) {
      const Layer layer{.n_head = n_head, .n_kv_head = n_kv_head, .d_ff = d_ff};
      if (!ff_ratio_fits(o, d_ff, d_model) || !heads_fit(o, probe, layer)) continue;
      probe.layers = {layer};
      if (layer.empty()) probe.layers.push_back({.n_head = 0, .n_kv_head = 0});  // none is without any weights
      if (!accepted(probe, refusal)) continue;
      LayerSet& set =
          sets[{o.shared_n_head ? n_head : 0, shares_n_kv_head(o) ? n_kv_head : 0, o.shared_d_ff ? d_ff : 0}];
      set.d_model = d_model;
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
  for (const LayerSet& set : layer_sets_) {
    if (set.d_model == d_model) probe.layers = {set.layers.back()};  // the widest, which is not empty if another is not
  }
  for (const std::int64_t d_embed : options_.d_embed) {
    for (const std::int64_t div_val : options_.div_val) {
      apply({.d_model = d_model, .d_embed = d_embed, .div_val = div_val, .layer_set = 0}, probe);
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
