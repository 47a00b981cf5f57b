#pragma once

// What the tests of counts, search spaces, encodings and variation check against: the closed formulas and the rules as
// they are documented, and brute force. Shares nothing with the library but its plain structs and `Random`.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "lts/architecture.hpp"
#include "lts/big_uint.hpp"
#include "lts/random.hpp"
#include "lts/search_space.hpp"
#include "message.hpp"

namespace lts {

/// How GoogleTest shows it.
inline void PrintTo(const BigUint& value, std::ostream* out) { *out << value.to_decimal(); }

}  // namespace lts

namespace lts::oracle {

using Int = std::int64_t;

// --- Exact counts ---

inline Int head_width(const Architecture& a, const Layer& layer) {
  if (a.head_dim > 0) return a.head_dim;
  return layer.n_head > 0 ? a.d_model / layer.n_head : 0;
}

/// Families with rotary positions and a plain embedding.
inline bool is_rotary(std::string_view family) { return family == "llama" || family == "gpt_neox"; }

/// The parameters of a layer of the family, with its norms.
inline Int whole_layer_params(const Architecture& a, const Layer& layer) {
  const Int d = a.d_model;
  const Int f = layer.d_ff;
  const Int k = layer.n_head * head_width(a, layer);
  if (a.family->name == "gpt2" || a.family->name == "gpt_neox")
    return (4 * d * k + 3 * k + d) + (2 * d * f + f + d) + 4 * d;
  if (a.family->name == "hw_gpt") return 4 * d * k + 2 * d * f + 4 * d;
  if (a.family->name == "hw_gpt_gated") return 4 * d * k + 3 * d * f + 4 * d;
  if (a.family->name == "hw_gpt_gated_bias") return (4 * d * k + 3 * k + d) + (3 * d * f + 2 * f + d) + 4 * d;
  if (a.family->name == "transformer_xl") return (5 * d * k + 2 * k) + (2 * d * f + f + d) + 4 * d;
  const Int kv = layer.n_kv_head * head_width(a, layer);
  return (d * k + 2 * d * kv + k * d) + 3 * d * f + 2 * d;
}

/// How many parameters a bias that is chosen adds to those of the family.
inline Int added(std::optional<bool> chosen, bool of_family, Int n) {
  return (static_cast<Int>(chosen.value_or(of_family)) - static_cast<Int>(of_family)) * n;
}

inline Int layer_params(const Architecture& a, const Layer& layer) {
  const Int d = a.d_model;
  const bool gated = a.family->name == "llama" || a.family->name.find("gated") != std::string_view::npos;
  const bool attention_bias =
      a.family->name == "gpt2" || a.family->name == "gpt_neox" || a.family->name == "hw_gpt_gated_bias";
  const bool feed_forward_bias = attention_bias || a.family->name == "transformer_xl";
  const Int norm = a.family->name == "llama" ? d : 2 * d;
  Int sum = oracle::whole_layer_params(a, layer);
  if (layer.n_head == 0) sum -= norm + (attention_bias ? d : 0);  // all that is left of it
  if (layer.n_head > 0) {
    const Int head = head_width(a, layer);
    sum += added(a.details.qkv_bias, attention_bias, (layer.n_head + 2 * layer.n_kv_head) * head);
    sum += added(a.details.attention_output_bias, attention_bias, d);
  }
  if (layer.d_ff == 0) sum -= norm + (feed_forward_bias ? d : 0);
  if (layer.d_ff > 0) sum += added(a.details.feed_forward_bias, feed_forward_bias, (gated ? 2 : 1) * layer.d_ff + d);
  return sum;
}

/// One of the families that have search spaces.
inline const Family& random_decoder(Random& random) {
  for (;;) {
    const Family& f = families()[random.below(static_cast<std::uint32_t>(families().size()))];
    if (!f.encoder) return f;
  }
}

/// gpt2, hw_gpt and its gated forms.
inline bool is_gpt(const Architecture& a) {
  return a.family->name == "gpt2" || a.family->name.substr(0, 6) == "hw_gpt";
}

inline Int decoder_params(const Architecture& a) {
  Int sum = 0;
  for (const Layer& layer : a.layers) sum += oracle::layer_params(a, layer);
  if (is_gpt(a) || a.family->name == "gpt_neox") return sum + 2 * a.d_model;
  return a.family->name == "llama" ? sum + a.d_model : sum;
}

inline std::vector<Int> cluster_ends(const Architecture& a) {
  std::vector<Int> cut = a.cutoffs.empty() ? std::vector<Int>{0} : a.cutoffs;
  const auto above = std::find_if(cut.begin(), cut.end(), [&](Int c) { return c > a.vocab_size; });
  if (above != cut.end()) cut.erase(above + 1, cut.end());
  cut.back() = a.vocab_size;
  return cut;
}

inline bool is_adaptive(const Architecture& a) {
  if (a.family->name == "transformer_xl") return true;
  return !a.cutoffs.empty() || a.div_val != 1 || (a.d_embed != -1 && a.d_embed != a.d_model);
}

inline Int power(Int base, std::size_t exponent) {
  Int result = 1;
  for (std::size_t i = 0; i < exponent; ++i) result *= base;
  return result;
}

inline Int embedding_params(const Architecture& a) {
  const Int d = a.d_model;
  const Int e = a.d_embed == -1 ? d : a.d_embed;
  const Int position = is_gpt(a) ? a.n_positions * d : 0;
  if (!is_adaptive(a)) return a.vocab_size * d + position;
  if (a.div_val == 1) return a.vocab_size * e + (e != d ? d * e : 0) + position;
  Int sum = position;
  Int before = 0;
  const std::vector<Int> cut = cluster_ends(a);
  for (std::size_t i = 0; i < cut.size(); ++i) {
    const Int e_i = e / power(a.div_val, i);
    sum += (cut[i] - before) * e_i + d * e_i;
    before = cut[i];
  }
  return sum;
}

inline bool cluster_tied(const Architecture& a, std::size_t i) {
  return a.tie_projs.empty() ? i > 0 : static_cast<bool>(a.tie_projs.at(i));
}

inline Int softmax_params(const Architecture& a) {
  const Int d = a.d_model;
  const Int e = a.d_embed == -1 ? d : a.d_embed;
  if (!is_adaptive(a)) return a.tie_embedding ? 0 : a.vocab_size * d;
  const std::vector<Int> cut = cluster_ends(a);
  Int sum = a.vocab_size + (static_cast<Int>(cut.size()) - 1) * (e + 1);
  for (std::size_t i = 0; i < cut.size(); ++i) {
    if (cluster_tied(a, i)) continue;
    if (a.div_val == 1) {
      sum += e != d ? d * e : 0;
    } else {
      sum += d * (e / power(a.div_val, i));
    }
  }
  return sum;
}

inline Int total_params(const Architecture& a) {
  return embedding_params(a) + oracle::decoder_params(a) + softmax_params(a);
}

// --- Rules ---

/// The rules of the families; not those of a space.
inline bool is_valid(const Architecture& a) {
  for (const Layer& layer : a.layers) {
    if (a.family->name != "llama" && layer.n_head != layer.n_kv_head) return false;
    if ((layer.n_head == 0) != (layer.n_kv_head == 0)) return false;
    if (a.family->name == "transformer_xl" && (layer.n_head == 0 || layer.d_ff == 0)) return false;
    if (layer.n_head == 0) continue;
    if (layer.n_head % layer.n_kv_head != 0) return false;
    if (a.head_dim == 0) {
      if (layer.n_head > a.d_model) return false;
      if (a.family->name != "transformer_xl" && a.d_model % layer.n_head != 0) return false;
    }
    const Int rotated = a.details.rotary_dim;
    if (rotated > head_width(a, layer)) return false;
    if (is_rotary(a.family->name) && rotated == 0 && head_width(a, layer) % 2 != 0) return false;
  }
  Int heads = 0;
  Int widths = 0;
  for (const Layer& layer : a.layers) {
    heads += layer.n_head;
    widths += layer.d_ff;
  }
  if (heads == 0 && (widths == 0 || a.head_dim == 0)) return false;
  const Details& own = a.details;
  if (!is_rotary(a.family->name) && own.rotary_dim != 0) return false;
  if (own.rotary_dim % 2 != 0) return false;
  if (a.family->name == "transformer_xl" && (own.qkv_bias.value_or(false) || !own.feed_forward_bias.value_or(true))) {
    return false;
  }
  if (!is_adaptive(a)) return true;
  if (is_rotary(a.family->name) || !a.tie_embedding) return false;
  const std::vector<Int> cut = cluster_ends(a);
  for (std::size_t i = 0; i < cut.size(); ++i) {
    if (cut[i] <= (i == 0 ? 0 : cut[i - 1])) return false;
    if ((a.d_embed == -1 ? a.d_model : a.d_embed) / power(a.div_val, i) == 0) return false;
  }
  return a.tie_projs.empty() || a.tie_projs.size() >= cut.size();
}

inline bool has(const std::vector<Int>& values, Int value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

inline bool in_bounds(const Bounds& bounds, Int value) {
  return value >= bounds.min.value_or(value) && value <= bounds.max.value_or(value);
}

/// Whether all layers have one number of key and value heads, which pairs share with n_head.
inline bool shared_n_kv_head(const SearchSpaceOptions& o) {
  return o.heads.empty() ? o.shared_n_kv_head && !o.n_kv_head.empty() : o.shared_n_head;
}

/// Whether the rules of the space hold for an architecture made of its choices.
inline bool keeps_rules(const SearchSpaceOptions& o, const Architecture& a) {
  for (const Layer& layer : a.layers) {
    const Layer& first = a.layers.front();
    if (o.shared_n_head && layer.n_head != first.n_head) return false;
    if (shared_n_kv_head(o) && layer.n_kv_head != first.n_kv_head) return false;
    if (o.shared_d_ff && layer.d_ff != first.d_ff) return false;
    if (static_cast<double>(layer.d_ff) < o.min_ff_ratio * static_cast<double>(a.d_model)) return false;
    if (o.max_ff_ratio && static_cast<double>(layer.d_ff) > *o.max_ff_ratio * static_cast<double>(a.d_model)) {
      return false;
    }
    if (!o.head_dims.empty() && layer.n_head > 0 &&
        std::find(o.head_dims.begin(), o.head_dims.end(), head_width(a, layer)) == o.head_dims.end()) {
      return false;
    }
  }
  return is_valid(a) && in_bounds(o.decoder_params, oracle::decoder_params(a)) &&
         in_bounds(o.total_params, oracle::total_params(a));
}

// --- Brute force ---

inline Architecture fixed_part(const SearchSpaceOptions& o) {
  Architecture a;
  a.family = &family(o.family);
  a.vocab_size = o.vocab_size;
  a.n_positions = o.n_positions;
  a.head_dim = o.head_dim;
  a.cutoffs = o.cutoffs;
  a.tie_projs = o.tie_projs;
  a.tie_embedding = o.tie_embedding.value_or(!is_rotary(o.family));
  return a;
}

/// What the biases of an architecture are, whether it or its family says so.
inline Biases biases_of(const Architecture& a) {
  return {a.qkv_bias(), a.attention_output_bias(), a.feed_forward_bias()};
}

/// The order of indices, as documented. Distinct members of one space have distinct keys.
inline std::vector<Int> key_of(const SearchSpaceOptions& o, const Architecture& a) {
  const Layer& first = a.layers.front();
  const Biases bias = biases_of(a);
  std::vector<Int> key{a.d_model,
                       a.head_dim,
                       4 * bias.qkv + 2 * bias.attention_output + bias.feed_forward,
                       o.shared_n_head ? first.n_head : 0,
                       shared_n_kv_head(o) ? first.n_kv_head : 0,
                       o.shared_d_ff ? first.d_ff : 0,
                       a.d_embed,
                       a.div_val,
                       a.n_layer()};
  for (const Layer& layer : a.layers) key.insert(key.end(), {layer.n_head, layer.n_kv_head, layer.d_ff});
  return key;
}

/// The feed-forward widths that go with a d_model: of the tests' multiples, which are quarters, exactly.
inline std::vector<Int> all_widths(const SearchSpaceOptions& o, Int d_model) {
  std::vector<Int> widths = o.d_ff;
  for (const double ratio : o.d_ff_ratio) widths.push_back(static_cast<Int>(4 * ratio) * d_model / 4);
  return widths;
}

/// The layers that the choices make, before any rule.
inline std::vector<Layer> all_layers(const SearchSpaceOptions& o, Int d_model) {
  std::vector<Layer> layers;
  const std::vector<Int> widths = all_widths(o, d_model);
  for (const Heads& pair : o.heads) {
    for (const Int f : widths) layers.push_back({.n_head = pair.n_head, .n_kv_head = pair.n_kv_head, .d_ff = f});
  }
  for (const Int h : o.n_head) {
    for (const Int kv : o.n_kv_head.empty() ? std::vector<Int>{h} : o.n_kv_head) {
      for (const Int f : widths) layers.push_back({.n_head = h, .n_kv_head = kv, .d_ff = f});
    }
  }
  return layers;
}

/// How many combinations `members` goes through.
inline Int n_combinations(const SearchSpaceOptions& o) {
  Int sum = 0;
  for (const Int n_layer : o.n_layer) {
    sum += power(static_cast<Int>(all_layers(o, 4).size()), static_cast<std::size_t>(n_layer));
  }
  const auto n_each = [](std::size_t n) { return std::max<std::size_t>(1, n); };
  return sum * static_cast<Int>(o.d_model.size() * o.d_embed.size() * o.div_val.size() *
                                n_each(o.head_dim_choices.size()) * n_each(o.bias.size()));
}

/// What is the same in all members but the widths: every head_dim with all biases.
inline std::vector<Architecture> fixed_parts(const SearchSpaceOptions& o) {
  std::vector<Architecture> parts;
  for (const Int head_dim : o.head_dim_choices.empty() ? std::vector<Int>{o.head_dim} : o.head_dim_choices) {
    Architecture a = fixed_part(o);
    a.head_dim = head_dim;
    if (o.bias.empty()) parts.push_back(a);
    for (const auto& [qkv, attention_output, feed_forward] : o.bias) {
      a.details.qkv_bias = qkv;
      a.details.attention_output_bias = attention_output;
      a.details.feed_forward_bias = feed_forward;
      parts.push_back(a);
    }
  }
  return parts;
}

using Keyed = std::vector<std::pair<std::vector<Int>, Architecture>>;

/// Adds all members with what `a` has in common.
inline void add_members(const SearchSpaceOptions& o, Architecture a, Keyed& found) {
  for (const Int d_model : o.d_model) {
    const std::vector<Layer> layers = all_layers(o, d_model);
    for (const Int d_embed : o.d_embed) {
      for (const Int div_val : o.div_val) {
        for (const Int n_layer : o.n_layer) {
          a.d_model = d_model;
          a.d_embed = d_embed;
          a.div_val = div_val;
          std::vector<std::size_t> digits(static_cast<std::size_t>(n_layer), 0);
          for (bool more = true; more;) {
            a.layers.clear();
            for (const std::size_t digit : digits) a.layers.push_back(layers[digit]);
            if (keeps_rules(o, a)) found.emplace_back(key_of(o, a), a);
            more = false;
            for (std::size_t& digit : digits) {
              if (++digit < layers.size()) {
                more = true;
                break;
              }
              digit = 0;
            }
          }
        }
      }
    }
  }
}

/// Every member of the space, in the order of indices: all combinations, less those that break a rule, sorted.
inline std::vector<Architecture> members(const SearchSpaceOptions& o) {
  Keyed found;
  for (const Architecture& a : fixed_parts(o)) add_members(o, a, found);
  std::sort(found.begin(), found.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
  std::vector<Architecture> result;
  result.reserve(found.size());
  for (auto& [key, architecture] : found) result.push_back(std::move(architecture));
  return result;
}

// --- Random cases ---

inline Int pick(Random& random, const std::vector<Int>& values) {
  return values[random.below(static_cast<std::uint32_t>(values.size()))];
}

/// From `least` to `most` distinct values in random order.
inline std::vector<Int> pick_some(Random& random, std::vector<Int> values, std::uint32_t least, std::uint32_t most) {
  const std::uint32_t n = std::min(least + random.below(most - least + 1), static_cast<std::uint32_t>(values.size()));
  for (std::uint32_t i = 0; i < n; ++i) {
    std::swap(values[i], values[i + random.below(static_cast<std::uint32_t>(values.size()) - i)]);
  }
  values.resize(n);
  return values;
}

/// Pairs of heads, which need not be grouped evenly by a product of choices.
inline std::vector<Heads> random_pairs(Random& random, bool grouped) {
  std::vector<Heads> pairs;
  for (const Int n_head : pick_some(random, {1, 2, 3, 4, 6, 8}, 1, 3)) {
    for (const Int group : grouped ? pick_some(random, {1, 2, 3}, 1, 2) : std::vector<Int>{1}) {
      if (n_head % group == 0) pairs.push_back({n_head, n_head / group});
    }
  }
  return pairs.empty() ? std::vector<Heads>{{2, 2}} : pairs;
}

/// Makes multiples of d_model, widths of heads or biases choices.
inline void choose_as_the_field(Random& random, SearchSpaceOptions& o) {
  const bool exact = std::all_of(o.d_model.begin(), o.d_model.end(), [](Int d) { return d % 4 == 0; });
  if (random.below(2) == 0) {
    const bool optional = has(o.d_ff, 0);
    o.d_ff.clear();
    for (const Int quarters : pick_some(random, {2, 4, 6, 8, 10, 16}, 1, 3)) {
      if (exact || quarters % 2 == 0) o.d_ff_ratio.push_back(static_cast<double>(quarters) / 4.0);
    }
    if (optional) o.d_ff_ratio.push_back(0);
  }
  if (random.below(2) == 0) {
    o.head_dim = 0;
    o.head_dim_choices = pick_some(random, {2, 3, 4, 6}, 1, 3);
  }
  if (o.family != "transformer_xl" && random.below(2) == 0) {
    for (const Int bits : pick_some(random, {0, 1, 2, 3, 4, 5, 6, 7}, 1, 3)) {
      o.bias.push_back({(bits & 4) != 0, (bits & 2) != 0, (bits & 1) != 0});
    }
  }
}

/// Options of a small space with any of the rules; it may turn out to be empty, or have a family's rule broken by all.
inline SearchSpaceOptions random_options(Random& random, Int max_combinations = 4000) {
  for (;;) {
    SearchSpaceOptions o;
    o.family = random_decoder(random).name;
    o.vocab_size = pick(random, {17, 40, 100});
    o.n_positions = pick(random, {8, 32});
    o.head_dim = random.below(5) == 0 ? pick(random, {2, 4}) : 0;
    o.n_layer = pick_some(random, {1, 2, 3, 4, 5}, 1, 3);
    o.d_model = pick_some(random, {6, 8, 12, 16, 20, 24, 36}, 1, 3);
    o.n_head = pick_some(random, {1, 2, 3, 4, 6, 8}, 1, 3);
    o.d_ff = pick_some(random, {4, 8, 12, 24, 32, 48, 50}, 1, 3);
    const bool optional_parts = o.family != "transformer_xl" && random.below(2) == 0;
    if (optional_parts && random.below(2) == 0) o.d_ff.push_back(0);
    if (random.below(4) == 0) {
      o.n_head.clear();
      o.heads = random_pairs(random, o.family == "llama");
      if (optional_parts && o.head_dim > 0) o.heads.push_back({0, 0});
    } else if (o.family == "llama" && random.below(3) != 0) {
      o.n_kv_head = pick_some(random, {1, 2, 3, 4}, 1, 2);
    }
    if (!is_rotary(o.family) && random.below(2) == 0) {
      o.d_embed = pick_some(random, {-1, 4, 8, 12}, 1, 3);
      o.div_val = pick_some(random, {1, 2, 4}, 1, 2);
      if (random.below(2) == 0) o.cutoffs = {5, 12, 60};
      if (random.below(3) == 0) o.tie_projs = {random.below(2) == 0, random.below(2) == 0, random.below(2) == 0};
    }
    if (random.below(5) == 0) o.tie_embedding = random.below(2) == 0;
    o.shared_n_head = random.below(4) == 0;
    o.shared_n_kv_head = random.below(4) == 0;
    o.shared_d_ff = random.below(4) == 0;
    if (random.below(2) == 0) o.min_ff_ratio = static_cast<double>(random.below(9)) / 4.0;
    if (random.below(3) == 0) o.max_ff_ratio = o.min_ff_ratio + static_cast<double>(random.below(17)) / 4.0;
    if (random.below(4) == 0) o.head_dims = pick_some(random, {2, 3, 4, 5, 6, 8, 12}, 2, 4);
    if (random.below(3) == 0) choose_as_the_field(random, o);
    if (n_combinations(o) > max_combinations) continue;
    if (random.below(2) == 0) return o;

    // Bounds that cut somewhere through what is there, sometimes all of it away.
    const std::vector<Architecture> all = members(o);
    if (all.empty()) return o;
    const auto n = static_cast<std::uint32_t>(all.size());
    for (Bounds* bounds : {&o.decoder_params, &o.total_params}) {
      const auto count = [&](const Architecture& a) {
        return bounds == &o.decoder_params ? oracle::decoder_params(a) : oracle::total_params(a);
      };
      Int low = count(all[random.below(n)]) + static_cast<Int>(random.below(3)) - 1;
      Int high = count(all[random.below(n)]) + static_cast<Int>(random.below(3)) - 1;
      if (low > high) std::swap(low, high);
      if (random.below(2) == 0) bounds->min = low;
      if (random.below(2) == 0) bounds->max = high;
    }
    return o;
  }
}

/// A space that is not empty, and its members.
struct Case {
  SearchSpaceOptions options;
  std::vector<Architecture> members;
};

inline Case random_case(Random& random, Int max_combinations = 4000) {
  for (;;) {
    SearchSpaceOptions options = random_options(random, max_combinations);
    std::vector<Architecture> all = members(options);
    if (!all.empty()) return {std::move(options), std::move(all)};
  }
}

/// For the message of a failed assertion.
inline std::string describe(const SearchSpaceOptions& o) {
  const auto list = [](const char* name, const std::vector<Int>& values) {
    std::string text = std::string(" ") + name + "=";
    for (const Int v : values) text += std::to_string(v) + ",";
    return text;
  };
  const auto bound = [](const char* name, const Bounds& b) {
    return std::string(" ") + name + "=[" + (b.min ? std::to_string(*b.min) : "-") + "," +
           (b.max ? std::to_string(*b.max) : "-") + "]";
  };
  std::string pairs = o.heads.empty() ? "" : " heads=";
  for (const Heads& h : o.heads) pairs += "(" + std::to_string(h.n_head) + "," + std::to_string(h.n_kv_head) + ")";
  for (const double ratio : o.d_ff_ratio) pairs += " ratio " + std::to_string(ratio);
  for (const Biases& b : o.bias) {
    pairs +=
        std::string(" bias ") + (b.qkv ? "q" : "-") + (b.attention_output ? "o" : "-") + (b.feed_forward ? "f" : "-");
  }
  return o.family + pairs + list("head_dim", o.head_dim_choices) + list("n_layer", o.n_layer) +
         list("d_model", o.d_model) + list("n_head", o.n_head) + list("n_kv_head", o.n_kv_head) + list("d_ff", o.d_ff) +
         list("d_embed", o.d_embed) + list("div_val", o.div_val) + list("cutoffs", o.cutoffs) +
         " head_dim=" + std::to_string(o.head_dim) + " shared=" + (o.shared_n_head ? "h" : "") +
         (o.shared_n_kv_head ? "k" : "") + (o.shared_d_ff ? "f" : "") + " ratio=" + std::to_string(o.min_ff_ratio) +
         "," + (o.max_ff_ratio ? std::to_string(*o.max_ff_ratio) : "-") + list("head_dims", o.head_dims) +
         bound("decoder", o.decoder_params) + bound("total", o.total_params);
}

inline std::string describe(const Architecture& a) {
  std::string text = "d_model=" + std::to_string(a.d_model) + " d_embed=" + std::to_string(a.d_embed) +
                     " div_val=" + std::to_string(a.div_val) + " head_dim=" + std::to_string(a.head_dim) + " layers=";
  for (const Layer& l : a.layers) {
    text += "(" + std::to_string(l.n_head) + "," + std::to_string(l.n_kv_head) + "," + std::to_string(l.d_ff) + ")";
  }
  return text;
}

/// Chi-square statistic of counts against expectations, turned into a rough number of standard deviations.
inline double chi_square_deviation(const std::vector<double>& counts, const std::vector<double>& expected) {
  double statistic = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    statistic += (counts[i] - expected[i]) * (counts[i] - expected[i]) / expected[i];
  }
  const double freedom = std::max(1.0, static_cast<double>(counts.size()) - 1.0);
  // Wilson and Hilferty 1931: the cube root of a chi-square variable is nearly normal.
  const double spread = 2.0 / (9.0 * freedom);
  return (std::cbrt(statistic / freedom) - (1.0 - spread)) / std::sqrt(spread);
}

}  // namespace lts::oracle
