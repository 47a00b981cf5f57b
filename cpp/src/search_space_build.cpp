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

// A space within these is built in seconds, whatever its choices; published ones need a tenth.
constexpr std::uint64_t kMaxLayers = std::uint64_t{1} << 22;      // combinations of the choices of a layer, and d_model
constexpr std::uint64_t kMaxEmbeddings = std::uint64_t{1} << 20;  // of those of the embedding, and d_model
constexpr std::size_t kMaxGroups = 1'000'000;
constexpr std::size_t kMaxSums = 2'000'000;  // distinct parameter sums of one set of layers, over all depths
constexpr std::uint64_t kMaxSteps = std::uint64_t{1} << 25;  // of adding a layer to a sum
constexpr std::uint64_t kMaxWords = std::uint64_t{1} << 26;  // of all exact counts, of 32 bits each
constexpr std::uint64_t kWordsPerNumber = 12;                // that keeping a number costs by itself

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

[[noreturn]] void refuse_counting() {
  throw_invalid({"the choices of n_layer and of what goes with it make more combinations than can be counted in ",
                 std::to_string((kMaxWords * sizeof(std::uint32_t)) >> 20U), " MiB; use fewer, or coarser steps"});
}

[[noreturn]] void refuse_sums(std::uint64_t most, std::string_view what) {
  throw_invalid({"parameter bounds: the choices make more than ", std::to_string(most), " ", what,
                 "; use coarser steps of d_ff or fewer heads"});
}

/// Adds one of the options to every sum; the sums ascend, and `counts` are the ways to each. Merges the sums with each
/// option added.
void add_options(const std::map<std::int64_t, std::uint32_t>& options, std::int64_t max_sum, std::size_t most_sums,
                 std::uint64_t& steps, std::vector<std::int64_t>& sums, std::vector<BigUint>& counts) {
  struct Next {
    std::int64_t sum;
    std::int64_t params;
    std::uint32_t ways;
    std::size_t at;
  };
  const auto later = [](const Next& a, const Next& b) { return a.sum > b.sum; };
  std::vector<Next> heap;
  for (const auto& [params, ways] : options) {
    if (!sums.empty() && sums.front() + params <= max_sum) heap.push_back({sums.front() + params, params, ways, 0});
  }
  std::vector<std::int64_t> next_sums;
  std::vector<BigUint> next_counts;
  while (!heap.empty()) {
    if (steps-- == 0) refuse_sums(kMaxSteps, "steps of adding up parameters");
    std::pop_heap(heap.begin(), heap.end(), later);
    Next& next = heap.back();
    if (next_sums.empty() || next_sums.back() != next.sum) {
      if (next_sums.size() == most_sums) refuse_sums(kMaxSums, "distinct parameter sums");
      next_sums.push_back(next.sum);
      next_counts.emplace_back();
    }
    if (next.ways == 1) {
      next_counts.back() += counts[next.at];
    } else {
      BigUint product = counts[next.at];
      product *= next.ways;
      next_counts.back() += product;
    }
    if (++next.at < sums.size() && sums[next.at] + next.params <= max_sum) {
      next.sum = sums[next.at] + next.params;
      std::push_heap(heap.begin(), heap.end(), later);
    } else {
      heap.pop_back();
    }
  }
  sums = std::move(next_sums);
  counts = std::move(next_counts);
}

/// A number that is added, once more or once less.
struct Term {
  std::int64_t shift;
  bool more;
  std::size_t at = 0;  ///< the next of the sums that it is added to
};

/// The difference that most neighbors have.
std::int64_t stride_of(const std::vector<std::int64_t>& ascending) {
  std::map<std::int64_t, std::size_t> n;
  for (std::size_t i = 1; i < ascending.size(); ++i) ++n[ascending[i] - ascending[i - 1]];
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  return n.empty() ? 1 : std::max_element(n.begin(), n.end(), less)->first;
}

/// What the options are but for those a stride before: where even steps begin and end.
std::vector<Term> terms_of(const std::vector<std::int64_t>& options, std::int64_t stride) {
  std::map<std::int64_t, int> n;
  for (const std::int64_t option : options) {
    ++n[option];
    --n[option + stride];
  }
  std::vector<Term> terms;
  for (const auto& [shift, times] : n) {
    if (times != 0) terms.push_back({shift, times > 0});
  }
  return terms;
}

/// The same for options that are mostly a stride apart, such as those of d_ff: what leads to a sum is what led to the
/// one a stride before, and the terms. O(sums * terms), however many options there are.
void add_strides(std::int64_t stride, std::vector<Term> terms, std::int64_t max_sum, std::size_t most_sums,
                 std::uint64_t& steps, std::vector<std::int64_t>& sums, std::vector<BigUint>& counts) {
  std::vector<std::int64_t> next_sums;
  std::vector<BigUint> next_counts;
  std::size_t before = 0;  // in what there is so far
  for (;;) {
    std::int64_t sum = before < next_sums.size() ? next_sums[before] + stride : kNoMax;
    for (const Term& term : terms) {
      if (term.more && term.at < sums.size()) sum = std::min(sum, sums[term.at] + term.shift);
    }
    if (sum > max_sum || sum == kNoMax) break;
    if (steps < terms.size()) refuse_sums(kMaxSteps, "steps of adding up parameters");
    steps -= terms.size();
    BigUint count;
    if (before < next_sums.size() && next_sums[before] + stride == sum) count = next_counts[before++];
    for (const bool more : {true, false}) {  // first what is added, so that nothing is below 0
      for (Term& term : terms) {
        if (term.more != more || term.at == sums.size() || sums[term.at] + term.shift != sum) continue;
        more ? count += counts[term.at] : count -= counts[term.at];
        ++term.at;
      }
    }
    if (count.is_zero()) continue;
    if (next_sums.size() == most_sums) refuse_sums(kMaxSums, "distinct parameter sums");
    next_sums.push_back(sum);
    next_counts.push_back(std::move(count));
  }
  sums = std::move(next_sums);
  counts = std::move(next_counts);
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

}  // namespace

SearchSpace::SearchSpace(SearchSpaceOptions options) : options_(std::move(options)) {
  SearchSpaceOptions& o = options_;
  family_ = &lts::family(o.family);
  if (family_->encoder) {
    throw_invalid({"family is ", o.family, "; there are no search spaces of encoders, only counts and proxies"});
  }
  check_choices("n_layer", o.n_layer, 1, max_layers);
  check_choices("d_model", o.d_model, 1);
  check_choices("n_head", o.n_head, 1);
  if (!o.n_kv_head.empty()) check_choices("n_kv_head", o.n_kv_head, 1);
  check_choices("d_ff", o.d_ff, 1);
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
  check_bounds("decoder_params", o.decoder_params);
  check_bounds("total_params", o.total_params);
  check_product("d_model, n_head, n_kv_head and d_ff",
                {o.d_model.size(), o.n_head.size(), o.n_kv_head.size(), o.d_ff.size()}, kMaxLayers);
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
  for (const std::int64_t n_head : o.n_head) {
    const std::vector<std::int64_t> same{n_head};
    for (const std::int64_t n_kv_head : o.n_kv_head.empty() ? same : o.n_kv_head) {
      for (const std::int64_t d_ff : o.d_ff) {
        if (static_cast<double>(d_ff) < o.min_ff_ratio * static_cast<double>(d_model)) continue;
        const Layer layer{.n_head = n_head, .n_kv_head = n_kv_head, .d_ff = d_ff};
        probe.layers = {layer};
        if (!accepted(probe, refusal)) continue;
        LayerSet& set =
            sets[{o.shared_n_head ? n_head : 0, o.shared_n_kv_head ? n_kv_head : 0, o.shared_d_ff ? d_ff : 0}];
        set.d_model = d_model;
        set.layers.push_back(layer);
        if (bounded_) set.params.push_back(layer_params(probe, layer));
      }
    }
  }
  for (auto& [shared, set] : sets) layer_sets_.push_back(std::move(set));
}

/// The embeddings that go with a width, whatever the layers.
std::vector<SearchSpace::EmbeddingChoice> SearchSpace::embedding_choices(std::int64_t d_model,
                                                                         std::string& refusal) const {
  std::vector<EmbeddingChoice> choices;
  Architecture probe = skeleton();
  const auto set = std::find_if(layer_sets_.begin(), layer_sets_.end(),
                                [d_model](const LayerSet& s) { return s.d_model == d_model; });
  probe.layers = {set->layers.front()};
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
    const std::uint64_t words = 2 * (count.n_words() + kWordsPerNumber);  // it, and the index that it begins at
    if (words > budget.words) refuse_counting();
    budget.words -= words;
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
      keep(group, groups_[g - n_depths].count);
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
    throw_invalid({"the choices and rules leave no architecture: ",
                   refusal.empty() ? "no d_ff is at least min_ff_ratio * d_model" : refusal});
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

void SearchSpace::build_ways(LayerSet& set, std::int64_t max_sum, Budget& budget) const {
  const auto depth = static_cast<std::size_t>(options_.n_layer.back());
  // The layers are all combinations of some heads and some d_ff, whose parameters just add: heads with the least d_ff,
  // then what a larger d_ff has more. Options with equal parameters count together.
  const auto same_heads = [&first = set.layers.front()](const Layer& layer) {
    return layer.n_head == first.n_head && layer.n_kv_head == first.n_kv_head;
  };
  const auto n_widths =
      static_cast<std::size_t>(std::find_if_not(set.layers.begin(), set.layers.end(), same_heads) - set.layers.begin());
  std::map<std::int64_t, std::uint32_t> heads;
  for (std::size_t i = 0; i < set.params.size(); i += n_widths) ++heads[set.params[i]];
  std::vector<std::int64_t> widths;
  std::map<std::int64_t, std::uint32_t> width_options;
  for (std::size_t i = 0; i < n_widths; ++i) {
    widths.push_back(set.params[i] - set.params[0]);
    width_options[widths.back()] = 1;
  }
  const std::int64_t stride = stride_of(widths);
  const std::vector<Term> terms = terms_of(widths, stride);
  const bool even = 2 * terms.size() <= n_widths + 2;

  const auto all = std::make_shared<std::vector<Ways>>();
  std::size_t n_sums = 0;
  std::vector<std::int64_t> sums{0};
  std::vector<BigUint> counts{BigUint(1)};
  for (std::size_t l = 0;; ++l) {
    Ways ways{.sums = sums, .at_most = {}};
    BigUint total;
    for (const BigUint& count : counts) {
      total += count;
      const std::uint64_t words = total.n_words() + kWordsPerNumber;
      if (words > budget.words) refuse_counting();
      budget.words -= words;
      ways.at_most.push_back(total);
    }
    n_sums += sums.size();
    all->push_back(std::move(ways));
    if (l == depth) break;
    add_options(heads, max_sum, kMaxSums - n_sums, budget.steps, sums, counts);
    if (n_widths > 1 && even) {
      add_strides(stride, terms, max_sum, kMaxSums - n_sums, budget.steps, sums, counts);
    } else if (n_widths > 1) {
      add_options(width_options, max_sum, kMaxSums - n_sums, budget.steps, sums, counts);
    }
  }
  set.ways = all;
}

}  // namespace lts
