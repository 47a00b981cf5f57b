#include "lts/architecture.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <tuple>

#include "lts/error.hpp"

namespace lts {

namespace {

constexpr std::int64_t kMaxStack = 64;
// Every count visits all clusters; published architectures have up to 4.
constexpr std::size_t kMaxClusters = 256;
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 31;

std::string number(std::int64_t value) { return std::to_string(value); }

/// Takes what is wrong with an architecture. The sentence is put together only where it is needed, because spaces try
/// combinations by the million.
class Refusal {
 public:
  explicit Refusal(std::string* sentence) : sentence_(sentence) {}
  /// False, to be returned.
  bool operator()(std::initializer_list<std::string_view> parts) const {
    if (sentence_ != nullptr) {
      for (const std::string_view part : parts) *sentence_ += part;
    }
    return false;
  }

 private:
  std::string* sentence_;
};

/// A field of the architecture, or of one layer.
struct Field {
  std::string_view name;
  std::size_t layer = SIZE_MAX;
  // NOLINTNEXTLINE(google-explicit-constructor): a name is a field
  Field(std::string_view of_all) : name(of_all) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Field(const char* of_all) : name(of_all) {}
  Field(std::string_view of_layer, std::size_t index) : name(of_layer), layer(index) {}
  [[nodiscard]] std::string text() const {
    return std::string(name) + (layer == SIZE_MAX ? "" : " of layer " + std::to_string(layer));
  }
};

bool check_range(const Refusal& refuse, const Field& field, std::int64_t value, std::int64_t min, std::int64_t max) {
  if (value >= min && value <= max) return true;
  return refuse({field.text(), " is ", number(value), "; it must be from ", number(min), " to ", number(max)});
}

bool check_only(const Refusal& refuse, std::string_view family, const Field& field, std::int64_t value,
                std::int64_t only) {
  if (only == 0 || value == only) return true;
  return refuse({field.text(), " is ", number(value), "; ", family, " has no other than ", number(only)});
}

bool check_mixed(const Refusal& refuse, const Architecture& a, std::size_t l) {
  const Layer& layer = a.layers[l];
  if (a.family->mixed) {
    if (!check_range(refuse, {"n_ff", l}, layer.n_ff, 1, kMaxStack)) return false;
    if (kernel_of(layer.mixer) == 0 || layer.n_head % 2 == 0) return true;
    return refuse({Field("n_head", l).text(), " is ", number(layer.n_head), "; ", mixer_name(layer.mixer),
                   " has half the heads, so it must be even"});
  }
  if (layer.mixer == Mixer::attention && layer.n_ff == 1) return true;
  return refuse({Field(layer.n_ff == 1 ? "mixer" : "n_ff", l).text(), " is ",
                 layer.n_ff == 1 ? mixer_name(layer.mixer) : number(layer.n_ff), "; every layer of ", a.family->name,
                 " has attention and one hidden feed-forward layer"});
}

/// How heads share the width.
bool check_heads(const Refusal& refuse, const Architecture& a, std::size_t l) {
  const Layer& layer = a.layers[l];
  if (layer.n_head == 0 && layer.n_kv_head == 0) return true;
  const auto refuse_heads = [&](std::string_view name, std::int64_t value, std::string_view must, std::int64_t other) {
    return refuse({Field(name, l).text(), " is ", number(value), "; ", must, number(other)});
  };
  if (layer.n_head == 0 || layer.n_kv_head == 0) {
    return refuse({Field(layer.n_head == 0 ? "n_kv_head" : "n_head", l).text(), " is ",
                   number(std::max(layer.n_head, layer.n_kv_head)), " and ", layer.n_head == 0 ? "n_head" : "n_kv_head",
                   " 0; without attention both are 0"});
  }
  if (a.family->attention == Attention::multi_head && layer.n_kv_head != layer.n_head) {
    return refuse({Field("n_kv_head", l).text(), " is ", number(layer.n_kv_head), "; ", a.family->name,
                   " has no grouped-query attention, so it must equal n_head, ", number(layer.n_head)});
  }
  if (layer.n_head % layer.n_kv_head != 0) {
    return refuse_heads("n_kv_head", layer.n_kv_head, "it must divide n_head, ", layer.n_head);
  }
  if (a.head_dim == 0) {
    if (a.family->head_width == HeadWidth::exact && a.d_model % layer.n_head != 0) {
      return refuse_heads("n_head", layer.n_head, "it must divide d_model, ", a.d_model);
    }
    if (layer.n_head > a.d_model) {
      return refuse_heads("n_head", layer.n_head, "it must be at most d_model, ", a.d_model);
    }
  }
  const std::int64_t head = a.width_of_head(layer);
  if (!check_range(refuse, {"n_head * head_dim", l}, layer.n_head * head, 1, max_width)) return false;
  const std::int64_t rotated = a.details.rotary_dim;
  if (rotated > head) {
    return refuse({"rotary_dim is ", number(rotated), "; it must be at most the width of heads, ", number(head),
                   " in layer ", std::to_string(l)});
  }
  if (a.family->position != Position::rotary || rotated > 0 || head % 2 == 0) return true;
  return refuse({Field("n_head", l).text(), " is ", number(layer.n_head), ", which makes heads ", number(head),
                 " wide; rotary positions need an even width"});
}

bool check_layer(const Refusal& refuse, const Architecture& a, std::size_t l) {
  const Layer& layer = a.layers[l];
  const std::int64_t least = a.family->parts_optional() ? 0 : 1;
  return check_mixed(refuse, a, l) &&
         check_only(refuse, a.family->name, {"d_ff", l}, layer.d_ff, a.family->only_d_ff) &&
         check_range(refuse, {"n_head", l}, layer.n_head, least, max_width) &&
         check_range(refuse, {"n_kv_head", l}, layer.n_kv_head, least, max_width) &&
         check_range(refuse, {"d_ff", l}, layer.d_ff, least, max_width) && check_heads(refuse, a, l);
}

bool check_clusters(const Refusal& refuse, const Architecture& a) {
  if (a.cutoffs.size() > kMaxClusters) {
    return refuse({"cutoffs has ", std::to_string(a.cutoffs.size()), " entries; it must have at most ",
                   std::to_string(kMaxClusters)});
  }
  bool ascending = true;
  visit_clusters(a, [&](const Cluster& cluster) {
    if (!ascending || cluster.end > cluster.begin) return;
    ascending = refuse({"cutoffs: ", number(cluster.end), " follows ", number(cluster.begin),
                        "; they must be positive, ascending and below vocab_size, ", number(a.vocab_size)});
  });
  if (!ascending) return false;
  bool wide = true;
  visit_clusters(a, [&](const Cluster& cluster) {
    if (!wide || cluster.width > 0) return;
    wide = refuse({"div_val is ", number(a.div_val), "; it leaves no width for cluster ", std::to_string(cluster.index),
                   " of an embedding of width ", number(a.embedding_width())});
  });
  if (!wide) return false;
  if (a.tie_projs.empty() || a.tie_projs.size() >= n_clusters(a)) return true;
  return refuse({"tie_projs has ", std::to_string(a.tie_projs.size()), " entries; it must have one per cluster, ",
                 std::to_string(n_clusters(a))});
}

bool check_number(const Refusal& refuse, std::string_view name, double value, bool right, std::string_view range) {
  return right || refuse({name, " is ", to_text(value), "; it must be ", range});
}

bool check_scaling(const Refusal& refuse, const RotaryScaling& s) {
  constexpr double most = 1e6;
  return check_number(refuse, "factor of rotary_scaling", s.factor, s.factor >= 1 && s.factor <= most,
                      "from 1 to 1000000") &&
         check_number(refuse, "low_freq_factor of rotary_scaling", s.low_freq_factor,
                      s.low_freq_factor > 0 && s.low_freq_factor <= most, "above 0 and at most 1000000") &&
         check_number(refuse, "high_freq_factor of rotary_scaling", s.high_freq_factor,
                      s.high_freq_factor > s.low_freq_factor && s.high_freq_factor <= most,
                      "above low_freq_factor and at most 1000000") &&
         check_range(refuse, "original_positions of rotary_scaling", s.original_positions, 1, kMaxVocabulary);
}

bool check_details(const Refusal& refuse, const Architecture& a) {
  if (a.details == Details{}) return true;
  const Family& f = *a.family;
  const double theta = a.rotary_theta();
  const double epsilon = a.norm_epsilon();
  if (!check_number(refuse, "rotary_theta", theta, theta >= 1 && theta <= 1e12, "from 1 to 1e12") ||
      !check_number(refuse, "norm_epsilon", epsilon, epsilon > 0 && epsilon <= 1, "above 0 and at most 1") ||
      !check_range(refuse, "rotary_dim", a.details.rotary_dim, 0, max_width)) {
    return false;
  }
  if (a.details.rotary_dim % 2 != 0) {
    return refuse({"rotary_dim is ", number(a.details.rotary_dim), "; it must be even"});
  }
  if (a.details.rotary_scaling && !check_scaling(refuse, *a.details.rotary_scaling)) return false;
  const Details own = differences(a.details, f);
  if (f.position != Position::rotary && (own.rotary_theta || own.rotary_dim != 0 || own.rotary_scaling)) {
    return refuse({own.rotary_theta      ? "rotary_theta"
                   : own.rotary_dim != 0 ? "rotary_dim"
                                         : "rotary_scaling",
                   ": ", f.name, " has no rotary positions; leave it out"});
  }
  if (!f.parts_optional() && (own.qkv_bias || own.attention_output_bias || own.feed_forward_bias)) {
    return refuse({own.qkv_bias                ? "qkv_bias"
                   : own.attention_output_bias ? "attention_output_bias"
                                               : "feed_forward_bias",
                   ": the biases of ", f.name, " cannot be chosen; leave it out"});
  }
  return true;
}

/// That some layer has anything, and some attention tells how wide heads are.
bool check_parts(const Refusal& refuse, const Architecture& a) {
  const auto some = [&a](const auto& has) { return std::any_of(a.layers.begin(), a.layers.end(), has); };
  if (!some([](const Layer& layer) { return !layer.empty(); })) {
    return refuse({"n_head and d_ff are 0 in every layer; some layer must have attention or a feed-forward network"});
  }
  if (a.head_dim > 0 || some([](const Layer& layer) { return layer.n_head > 0; })) return true;
  return refuse({"head_dim is 0; where no layer has attention it must be given"});
}

bool check_embedding(const Refusal& refuse, const Architecture& a) {
  if (a.d_embed != -1 && !check_range(refuse, "d_embed", a.d_embed, 1, max_width)) return false;
  if (!check_range(refuse, "div_val", a.div_val, 1, max_width)) return false;
  if (!a.adaptive()) return true;
  if (!a.family->adaptive_allowed) {
    return refuse(
        {"d_embed, div_val and cutoffs: ", a.family->name, " has no adaptive embedding; leave them at -1, 1 and none"});
  }
  if (!a.tie_embedding) return refuse({"tie_embedding is false; an adaptive embedding is always tied"});
  return check_clusters(refuse, a);
}

bool check(const Refusal& refuse, const Architecture& a) {
  if (a.family == nullptr) return refuse({"family is not set"});
  const bool in_range = check_range(refuse, "vocab_size", a.vocab_size, 1, kMaxVocabulary) &&
                        check_range(refuse, "n_positions", a.n_positions, 1, kMaxVocabulary) &&
                        check_range(refuse, "d_model", a.d_model, 1, max_width) &&
                        check_range(refuse, "head_dim", a.head_dim, 0, max_width) &&
                        check_range(refuse, "n_layer", a.n_layer(), 1, max_layers) &&
                        check_only(refuse, a.family->name, "d_model", a.d_model, a.family->only_d_model);
  if (!in_range) return false;
  if (a.family->encoder && a.head_dim != 0) {
    return refuse({"head_dim is ", number(a.head_dim), "; heads of ", a.family->name,
                   " are d_model / n_head wide: leave it at 0"});
  }
  if (a.family->encoder && !a.tie_embedding) {
    return refuse({"tie_embedding is false; ", a.family->name, " has no output layer"});
  }
  if (!check_details(refuse, a)) return false;
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    if (!check_layer(refuse, a, l)) return false;
  }
  return check_parts(refuse, a) && check_embedding(refuse, a);
}

}  // namespace

Details differences(const Details& details, const Family& f) noexcept {
  Details own = details;
  if (own.rotary_theta == f.rotary_theta) own.rotary_theta.reset();
  if (own.norm_epsilon == f.norm_epsilon) own.norm_epsilon.reset();
  if (own.qkv_bias == f.attention_bias) own.qkv_bias.reset();
  if (own.attention_output_bias == f.attention_bias) own.attention_output_bias.reset();
  if (own.feed_forward_bias == f.feed_forward_bias) own.feed_forward_bias.reset();
  return own;
}

bool operator==(const Architecture& a, const Architecture& b) noexcept {
  const auto plain = [](const Architecture& x) {
    return std::tie(x.family, x.vocab_size, x.n_positions, x.d_model, x.head_dim, x.d_embed, x.div_val, x.tie_embedding,
                    x.layers, x.cutoffs, x.tie_projs);
  };
  if (plain(a) != plain(b)) return false;
  return a.details == b.details ||
         (a.family != nullptr && differences(a.details, *a.family) == differences(b.details, *b.family));
}

Architecture without_empty_layers(const Architecture& architecture) {
  Architecture rest = architecture;
  std::erase_if(rest.layers, [](const Layer& layer) { return layer.empty(); });
  return rest;
}

bool Architecture::uniform() const noexcept {
  return std::adjacent_find(layers.begin(), layers.end(), std::not_equal_to<>()) == layers.end();
}

std::size_t n_clusters(const Architecture& a) noexcept {
  const auto above =
      std::find_if(a.cutoffs.begin(), a.cutoffs.end(), [&a](std::int64_t cutoff) { return cutoff > a.vocab_size; });
  const auto n_within = static_cast<std::size_t>(above - a.cutoffs.begin());
  return above == a.cutoffs.end() ? std::max<std::size_t>(1, n_within) : n_within + 1;
}

std::vector<std::int64_t> clean_cutoffs(const Architecture& a) {
  std::vector<std::int64_t> ends;
  visit_clusters(a, [&ends](const Cluster& cluster) { ends.push_back(cluster.end); });
  return ends;
}

bool projection_tied(const Architecture& a, std::size_t i) noexcept {
  return a.tie_projs.empty() ? i != 0 : i < a.tie_projs.size() && a.tie_projs[i];
}

void validate(const Architecture& a) {
  std::string sentence;
  if (!check(Refusal(&sentence), a)) throw_invalid({sentence});
}

bool valid(const Architecture& a) { return check(Refusal(nullptr), a); }

}  // namespace lts
