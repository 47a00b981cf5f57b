// What the options of a search space may be.

#include "lts/search_space_options.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "lts/error.hpp"
#include "search_space_detail.hpp"

namespace lts {

using namespace detail;

namespace {

// Options within these can be counted: see there what that may take.
constexpr std::uint64_t kMaxLayers = std::uint64_t{1} << 22;      // combinations of the choices of a layer, and d_model
constexpr std::uint64_t kMaxEmbeddings = std::uint64_t{1} << 20;  // of those of the embedding, and d_model

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
      if (o.head_dim == 0 && o.head_dim_choices.empty())
        refuse("head_dim must be given, as there may be no layer that tells it");
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

/// Checks and sorts the multiples of d_model, which stand in place of d_ff.
void check_d_ff_ratio(SearchSpaceOptions& o, const Family& family) {
  if (!o.d_ff.empty()) throw_invalid({"d_ff has choices, and so has d_ff_ratio; give one of them"});
  for (const double ratio : o.d_ff_ratio) {
    const auto refuse = [ratio](std::string_view rule) {
      throw_invalid({"d_ff_ratio has the choice ", to_text(ratio), "; ", rule});
    };
    if (!(ratio >= 0) || ratio > static_cast<double>(max_width)) refuse("it must be a number from 0 to 1048576");
    if (ratio == 0 && !family.parts_optional()) refuse("layers of " + o.family + " have a feed-forward network");
    for (const std::int64_t d_model : o.d_model) {
      const std::int64_t d_ff = width_of(ratio, d_model);
      if (d_ff > max_width) refuse("times d_model " + number(d_model) + " it is above 1048576");
      // As many decimals as a double has: 1.1 times 320 is 352, which products of doubles miss.
      if (static_cast<double>(d_ff) / static_cast<double>(d_model) != ratio) {
        refuse("times d_model " + number(d_model) + " it is no integer");
      }
    }
  }
  std::sort(o.d_ff_ratio.begin(), o.d_ff_ratio.end());
  if (const auto twice = std::adjacent_find(o.d_ff_ratio.begin(), o.d_ff_ratio.end()); twice != o.d_ff_ratio.end()) {
    throw_invalid({"d_ff_ratio has the choice ", to_text(*twice), " twice; choices must be distinct"});
  }
}

/// Checks and sorts the choices of the width of heads, which stand in place of one; a single choice becomes it.
void check_head_dim(SearchSpaceOptions& o) {
  if (o.head_dim != 0) throw_invalid({"head_dim has a value and choices; give one of them"});
  check_choices("head_dim", o.head_dim_choices, 1);
  if (o.head_dim_choices.size() > 1) return;
  o.head_dim = o.head_dim_choices.front();
  o.head_dim_choices.clear();
}

/// Checks and sorts the choices of biases, which stand in place of details; a single choice becomes them.
void check_bias(SearchSpaceOptions& o, const Family& family) {
  if (!family.parts_optional()) throw_invalid({"bias: the biases of ", o.family, " cannot be chosen; leave it out"});
  if (o.details.qkv_bias || o.details.attention_output_bias || o.details.feed_forward_bias) {
    throw_invalid({"bias has choices, and ",
                   o.details.qkv_bias                ? "qkv_bias"
                   : o.details.attention_output_bias ? "attention_output_bias"
                                                     : "feed_forward_bias",
                   " a value; give one of them"});
  }
  std::sort(o.bias.begin(), o.bias.end());
  if (std::adjacent_find(o.bias.begin(), o.bias.end()) != o.bias.end()) {
    throw_invalid({"bias has a choice twice; choices must be distinct"});
  }
  if (o.bias.size() > 1) return;
  o.details = details_of(o, family, 0);
  o.bias.clear();
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

std::vector<std::int64_t> d_ff_choices(const SearchSpaceOptions& o, std::int64_t d_model) {
  std::vector<std::int64_t> widths = o.d_ff;
  for (const double ratio : o.d_ff_ratio) widths.push_back(width_of(ratio, d_model));
  return widths;
}

const Family& detail::check_options(SearchSpaceOptions& o) {
  const Family& family = lts::family(o.family);
  if (family.encoder) {
    throw_invalid({"family is ", o.family, "; there are no search spaces of encoders, only counts and proxies"});
  }
  if (!o.bias.empty()) check_bias(o, family);
  o.details = differences(o.details, family);
  check_choices("n_layer", o.n_layer, 1, max_layers);
  check_choices("d_model", o.d_model, 1);
  if (o.heads.empty()) {
    check_choices("n_head", o.n_head, 1);
  } else {
    check_heads(o, family);
  }
  if (!o.n_kv_head.empty()) check_choices("n_kv_head", o.n_kv_head, 1);
  if (o.d_ff_ratio.empty()) {
    check_choices("d_ff", o.d_ff, family.parts_optional() ? 0 : 1);
  } else {
    check_d_ff_ratio(o, family);
  }
  if (!o.head_dim_choices.empty()) check_head_dim(o);
  check_choices("d_embed", o.d_embed, -1);
  if (has(o.d_embed, 0)) throw_invalid({"d_embed has the choice 0; it must be -1 (d_model) or at least 1"});
  check_choices("div_val", o.div_val, 1);
  if (!o.n_kv_head.empty() && family.attention != Attention::grouped_query) {
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
  std::string of_layers = "d_model, ";
  if (!o.head_dim_choices.empty()) of_layers += "head_dim, ";
  if (!o.bias.empty()) of_layers += "bias, ";
  of_layers += o.heads.empty() ? "n_head, n_kv_head and " : "heads and ";
  of_layers += o.d_ff_ratio.empty() ? "d_ff" : "d_ff_ratio";
  check_product(of_layers,
                {o.d_model.size(), o.head_dim_choices.size(), o.bias.size(), o.n_head.size(), o.n_kv_head.size(),
                 o.heads.size(), o.d_ff.size(), o.d_ff_ratio.size()},
                kMaxLayers);
  check_product("d_model, d_embed and div_val", {o.d_model.size(), o.d_embed.size(), o.div_val.size()}, kMaxEmbeddings);
  return family;
}

}  // namespace lts
