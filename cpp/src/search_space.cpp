#include "lts/search_space.hpp"

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include "lts/cost.hpp"
#include "lts/error.hpp"
#include "search_space_detail.hpp"

namespace lts {

using namespace detail;

BigUint SearchSpace::Ways::between(std::int64_t low, std::int64_t high) const {
  const auto end = std::upper_bound(sums.begin(), sums.end(), high);
  const auto begin = std::lower_bound(sums.begin(), sums.end(), low);
  if (begin >= end) return {};
  BigUint result = at_most[static_cast<std::size_t>(end - sums.begin()) - 1];
  if (begin != sums.begin()) result -= at_most[static_cast<std::size_t>(begin - sums.begin()) - 1];
  return result;
}

Architecture SearchSpace::skeleton() const {
  Architecture a;
  a.family = family_;
  a.vocab_size = options_.vocab_size;
  a.n_positions = options_.n_positions;
  a.head_dim = options_.head_dim;
  a.cutoffs = options_.cutoffs;
  a.tie_projs = options_.tie_projs;
  a.tie_embedding = options_.tie_embedding.value_or(family_->tie_embedding);
  a.details = options_.details;
  return a;
}

void SearchSpace::apply(const Block& block, Architecture& out) const {
  out.family = family_;
  out.vocab_size = options_.vocab_size;
  out.n_positions = options_.n_positions;
  if (out.cutoffs != options_.cutoffs) out.cutoffs = options_.cutoffs;
  if (out.tie_projs != options_.tie_projs) out.tie_projs = options_.tie_projs;
  out.tie_embedding = options_.tie_embedding.value_or(family_->tie_embedding);
  const LayerSet& set = layer_sets_[block.layer_set];
  out.head_dim = set.head_dim;
  out.details = details_[set.bias];
  out.d_model = block.d_model;
  out.d_embed = block.d_embed;
  out.div_val = block.div_val;
}

Architecture SearchSpace::at(const BigUint& index) const {
  if (index >= size_) {
    throw_invalid(
        {"index ", index.to_decimal(), " is out of range; the space has ", size_.to_decimal(), " architectures"});
  }
  const Group& group = group_of(index);
  Architecture a;
  place(group, index - group.begin, a);
  return a;
}

const SearchSpace::Group& SearchSpace::group_of(const BigUint& index) const {
  const auto after = std::upper_bound(groups_.begin(), groups_.end(), index,
                                      [](const BigUint& i, const Group& g) { return i < g.begin; });
  return *(after - 1);
}

/// The architecture of that index within the group.
void SearchSpace::place(const Group& group, BigUint rest, Architecture& out) const {
  const Block& block = blocks_[group.block];
  const LayerSet& set = layer_sets_[block.layer_set];
  apply(block, out);
  out.layers.resize(static_cast<std::size_t>(group.n_layer));
  rest += BigUint(group.n_left_out);
  if (!bounded_) {
    for (std::size_t l = out.layers.size(); l-- > 0;) {
      out.layers[l] = set.layers[rest.divide(static_cast<std::uint32_t>(set.layers.size()))];
    }
    return;
  }
  std::int64_t low = group.min_sum;
  std::int64_t high = group.max_sum;
  for (std::size_t l = 0; l < out.layers.size(); ++l) {
    const Ways& ways = (*set.ways)[out.layers.size() - l - 1];
    for (std::size_t i = 0;; ++i) {
      const std::int64_t p = set.params[i];
      const BigUint count = ways.between(low == kNoMin ? kNoMin : low - p, high == kNoMax ? kNoMax : high - p);
      if (rest < count) {
        out.layers[l] = set.layers[i];
        if (low != kNoMin) low -= p;
        if (high != kNoMax) high -= p;
        break;
      }
      rest -= count;
    }
  }
}

std::optional<std::string> SearchSpace::why_not(const Architecture& a) const {
  const SearchSpaceOptions& o = options_;
  if (a.family == nullptr) return "family is not set";
  if (a.family != family_) return "family is " + std::string(a.family->name) + ", the space is of " + o.family;
  const auto fixed = [](std::string_view name, std::int64_t value, std::int64_t expected) {
    return std::string(name) + " is " + number(value) + ", the space has " + number(expected);
  };
  const Architecture expected = skeleton();
  if (a.vocab_size != o.vocab_size) return fixed("vocab_size", a.vocab_size, o.vocab_size);
  if (a.n_positions != o.n_positions) return fixed("n_positions", a.n_positions, o.n_positions);
  if (a.cutoffs != o.cutoffs) return "cutoffs differ from those of the space";
  if (a.tie_projs != o.tie_projs) return "tie_projs differ from those of the space";
  if (a.tie_embedding != expected.tie_embedding) return "tie_embedding differs from that of the space";
  if (std::find(details_.begin(), details_.end(), differences(a.details, *family_)) == details_.end()) {
    return o.bias.empty() ? "details, such as biases, differ from those of the space"
                          : "its biases are not among the choices, or other details differ from those of the space";
  }
  const auto choice = [](std::string_view name, std::int64_t value) {
    return std::string(name) + " " + number(value) + " is not among the choices";
  };
  if (o.head_dim_choices.empty()) {
    if (a.head_dim != o.head_dim) return fixed("head_dim", a.head_dim, o.head_dim);
  } else if (!has(o.head_dim_choices, a.head_dim)) {
    return choice("head_dim", a.head_dim);
  }
  if (!has(o.n_layer, a.n_layer())) return choice("n_layer", a.n_layer());
  if (!has(o.d_model, a.d_model)) return choice("d_model", a.d_model);
  if (!has(o.d_embed, a.d_embed)) return choice("d_embed", a.d_embed);
  if (!has(o.div_val, a.div_val)) return choice("div_val", a.div_val);
  const std::vector<std::int64_t> widths = d_ff_choices(o, a.d_model);
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    const Layer& layer = a.layers[l];
    const Layer& first = a.layers.front();
    const std::string where = " in layer " + std::to_string(l);
    if (const Heads heads{layer.n_head, layer.n_kv_head}; !o.heads.empty()) {
      if (!std::binary_search(o.heads.begin(), o.heads.end(), heads)) {
        return "heads " + describe(heads) + " is not among the choices" + where;
      }
    } else if (!has(o.n_head, layer.n_head)) {
      return choice("n_head", layer.n_head) + where;
    } else if (o.n_kv_head.empty() ? layer.n_kv_head != layer.n_head : !has(o.n_kv_head, layer.n_kv_head)) {
      return choice("n_kv_head", layer.n_kv_head) + where;
    }
    if (!has(widths, layer.d_ff)) return choice("d_ff", layer.d_ff) + where;
    if ((o.shared_n_head && layer.n_head != first.n_head) ||
        (shares_n_kv_head(o) && layer.n_kv_head != first.n_kv_head) || (o.shared_d_ff && layer.d_ff != first.d_ff)) {
      return "a shared dimension differs" + where;
    }
    if (too_narrow(o, layer.d_ff, a.d_model)) {
      return "d_ff " + number(layer.d_ff) + " is below min_ff_ratio * d_model" + where;
    }
    if (too_wide(o, layer.d_ff, a.d_model)) {
      return "d_ff " + number(layer.d_ff) + " is above max_ff_ratio * d_model" + where;
    }
    if (!heads_fit(o, a, layer)) {
      return "heads " + number(a.width_of_head(layer)) + " wide are not among head_dims" + where;
    }
  }
  try {
    validate(a);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  if (const std::int64_t n = decoder_params(a); !within(o.decoder_params, n)) {
    return "decoder_params " + number(n) + " is outside " + describe(o.decoder_params);
  }
  if (const std::int64_t n = total_params(a); !within(o.total_params, n)) {
    return "total_params " + number(n) + " is outside " + describe(o.total_params);
  }
  return std::nullopt;
}

/// Where the layer is in the set, whose layers ascend; their number when it is not.
std::size_t SearchSpace::position_of(const LayerSet& set, const Layer& layer) {
  const auto widths = [](const Layer& l) { return std::tie(l.n_head, l.n_kv_head, l.d_ff); };
  const auto at = std::lower_bound(set.layers.begin(), set.layers.end(), layer,
                                   [&widths](const Layer& a, const Layer& b) { return widths(a) < widths(b); });
  return at != set.layers.end() && *at == layer ? static_cast<std::size_t>(at - set.layers.begin()) : set.layers.size();
}

std::size_t SearchSpace::find_group(const Architecture& a, const LayerSet** set) const {
  const auto bias = static_cast<std::size_t>(
      std::find(details_.begin(), details_.end(), differences(a.details, *family_)) - details_.begin());
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Block& block = blocks_[groups_[g].block];
    if (groups_[g].n_layer != a.n_layer() || block.d_model != a.d_model || block.d_embed != a.d_embed ||
        block.div_val != a.div_val) {
      continue;
    }
    const LayerSet& candidate = layer_sets_[block.layer_set];
    if (candidate.head_dim == a.head_dim && candidate.bias == bias &&
        position_of(candidate, a.layers.front()) < candidate.layers.size()) {
      *set = &candidate;
      return g;
    }
  }
  throw_invalid({"the architecture is not in the space"});
}

BigUint SearchSpace::index(const Architecture& a) const {
  if (const auto reason = why_not(a)) throw_invalid({"the architecture is not in the space: ", *reason});
  const LayerSet* set = nullptr;
  const Group& group = groups_[find_group(a, &set)];
  BigUint offset;
  std::int64_t low = group.min_sum;
  std::int64_t high = group.max_sum;
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    const std::size_t position = position_of(*set, a.layers[l]);
    if (!bounded_) {
      offset *= static_cast<std::uint32_t>(set->layers.size());
      offset += BigUint(position);
      continue;
    }
    const Ways& ways = (*set->ways)[a.layers.size() - l - 1];
    for (std::size_t i = 0; i < position; ++i) {
      const std::int64_t p = set->params[i];
      offset += ways.between(low == kNoMin ? kNoMin : low - p, high == kNoMax ? kNoMax : high - p);
    }
    if (low != kNoMin) low -= set->params[position];
    if (high != kNoMax) high -= set->params[position];
  }
  return group.begin + (offset - BigUint(group.n_left_out));
}

bool SearchSpace::within_bounds(const Architecture& a) const {
  if (!bounded_) return true;
  return (options_.decoder_params.unbounded() || within(options_.decoder_params, decoder_params(a))) &&
         (options_.total_params.unbounded() || within(options_.total_params, total_params(a)));
}

void SearchSpace::draw_layers(Random& random, const Group& group, Architecture& out) const {
  const Block& block = blocks_[group.block];
  const std::vector<Layer>& layers = layer_sets_[block.layer_set].layers;
  apply(block, out);
  out.layers.resize(static_cast<std::size_t>(group.n_layer));
  const auto n = static_cast<std::uint32_t>(layers.size());
  do {
    for (Layer& layer : out.layers) layer = layers[random.below(n)];
  } while (all_empty(out));
}

Architecture SearchSpace::sample(Random& random) const {
  Architecture a;
  sample(random, a);
  return a;
}

void SearchSpace::sample(Random& random, Architecture& out) const {
  out.layers.reserve(static_cast<std::size_t>(options_.n_layer.back()));  // for this and any later one
  if (bounded_) {
    const BigUint index = BigUint::random_below(size_, random);
    const Group& group = group_of(index);
    place(group, index - group.begin, out);
    return;
  }
  const std::uint64_t u = random.next();
  const auto it = std::upper_bound(thresholds_.begin(), thresholds_.end() - 1, u);
  draw_layers(random, groups_[static_cast<std::size_t>(it - thresholds_.begin())], out);
}

void SearchSpace::sample_choices(Random& random, Architecture& out) const {
  // A group is one combination of widths, shared values and depth; drawing it uniformly draws each of them uniformly,
  // but for combinations that the rules exclude.
  const Group& group = groups_[random.below(static_cast<std::uint32_t>(groups_.size()))];
  out.layers.reserve(static_cast<std::size_t>(options_.n_layer.back()));
  constexpr int tries = 200;
  for (int i = 0; i < tries; ++i) {
    draw_layers(random, group, out);
    if (within_bounds(out)) return;
  }
  place(group, BigUint::random_below(group.count, random), out);
}

}  // namespace lts
