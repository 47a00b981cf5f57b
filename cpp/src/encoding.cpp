#include "lts/encoding.hpp"

#include <algorithm>
#include <array>
#include <tuple>

#include "lts/error.hpp"
#include "search_space_detail.hpp"

namespace lts {

namespace {

using Dimension = Encoding::Dimension;

std::string_view dimension_name(Dimension dimension) {
  constexpr std::array<std::string_view, 9> names{"d_model",   "n_layer", "d_embed",  "div_val", "n_head",
                                                  "n_kv_head", "d_ff",    "head_dim", "bias"};
  return names[static_cast<std::size_t>(dimension)];
}

std::uint16_t position_of(Dimension dimension, const std::vector<std::int64_t>& choices, std::int64_t value) {
  const auto it = std::lower_bound(choices.begin(), choices.end(), value);
  if (it == choices.end() || *it != value) {
    throw_invalid({dimension_name(dimension), " ", std::to_string(value), " is not among the choices of the space"});
  }
  return static_cast<std::uint16_t>(it - choices.begin());
}

std::uint16_t position_of(const std::vector<Details>& choices, const Details& details) {
  const auto it = std::find(choices.begin(), choices.end(), details);
  if (it == choices.end()) throw_invalid({"the biases are not among the choices of the space"});
  return static_cast<std::uint16_t>(it - choices.begin());
}

std::uint16_t position_of(const std::vector<Heads>& choices, const Heads& heads) {
  const auto it = std::lower_bound(choices.begin(), choices.end(), heads);
  if (it == choices.end() || *it != heads) {
    throw_invalid({"heads ", detail::describe(heads), " is not among the choices of the space"});
  }
  return static_cast<std::uint16_t>(it - choices.begin());
}

/// What a gene n_head stands for.
std::vector<Heads> heads_of(const SearchSpaceOptions& options) {
  if (!options.heads.empty()) return options.heads;
  std::vector<Heads> heads;
  for (const std::int64_t n_head : options.n_head) heads.push_back({n_head, n_head});
  return heads;
}

/// What a gene d_ff stands for: by d_model where that matters.
std::vector<std::vector<std::int64_t>> widths_of(const SearchSpaceOptions& options) {
  if (options.d_ff_ratio.empty()) return {options.d_ff};
  std::vector<std::vector<std::int64_t>> widths;
  for (const std::int64_t d_model : options.d_model) widths.push_back(d_ff_choices(options, d_model));
  return widths;
}

/// What a gene bias stands for.
std::vector<Details> all_details_of(const SearchSpaceOptions& options) {
  std::vector<Details> details;
  for (std::size_t bias = 0; bias < std::max<std::size_t>(1, options.bias.size()); ++bias) {
    details.push_back(detail::details_of(options, family(options.family), bias));
  }
  return details;
}

}  // namespace

std::uint64_t hash_of(std::span<const std::uint16_t> genotype) noexcept {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const std::uint16_t gene : genotype) h = (h ^ gene) * 0x100000001b3ULL;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ULL;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
  return h ^ (h >> 31);
}

std::size_t Encoding::n_choices(Dimension dimension) const noexcept {
  const SearchSpaceOptions& o = space_->options();
  switch (dimension) {
    case Dimension::d_model:
      return o.d_model.size();
    case Dimension::n_layer:
      return o.n_layer.size();
    case Dimension::d_embed:
      return o.d_embed.size();
    case Dimension::div_val:
      return o.div_val.size();
    case Dimension::n_head:
      return heads_.size();
    case Dimension::n_kv_head:
      return o.n_kv_head.size();
    case Dimension::d_ff:
      return widths_.front().size();
    case Dimension::head_dim:
      return head_dims_.size();
    case Dimension::bias:
      break;
  }
  return details_.size();
}

Encoding::Encoding(const SearchSpace& space)
    : space_(&space),
      heads_(heads_of(space.options())),
      widths_(widths_of(space.options())),
      head_dims_(detail::head_dims_of(space.options())),
      details_(all_details_of(space.options())),
      may_be_empty_(heads_.front().n_head == 0 && widths_.front().front() == 0) {
  const SearchSpaceOptions& o = space.options();
  const auto add = [this](Dimension dimension, std::int32_t layer, std::int32_t& at) {
    const std::size_t n = n_choices(dimension);
    if (n > 0xFFFF) {
      throw_invalid({dimension_name(dimension), " has ", std::to_string(n), " choices; at most 65535 are supported"});
    }
    if (n < 2) return;
    if (at < 0) at = static_cast<std::int32_t>(genes_.size());
    genes_.push_back(Gene{dimension, layer, static_cast<std::uint16_t>(n)});
  };
  add(Dimension::d_model, -1, at_d_model_);
  add(Dimension::n_layer, -1, at_n_layer_);
  add(Dimension::d_embed, -1, at_d_embed_);
  add(Dimension::div_val, -1, at_div_val_);
  add(Dimension::head_dim, -1, at_head_dim_);
  add(Dimension::bias, -1, at_bias_);
  if (o.shared_n_head) add(Dimension::n_head, -1, at_n_head_);
  if (o.shared_n_kv_head) add(Dimension::n_kv_head, -1, at_n_kv_head_);
  if (o.shared_d_ff) add(Dimension::d_ff, -1, at_d_ff_);
  first_layer_gene_ = static_cast<std::int32_t>(genes_.size());
  for (std::int32_t l = 0; l < o.n_layer.back(); ++l) {
    if (!o.shared_n_head) add(Dimension::n_head, l, at_n_head_);
    if (!o.shared_n_kv_head) add(Dimension::n_kv_head, l, at_n_kv_head_);
    if (!o.shared_d_ff) add(Dimension::d_ff, l, at_d_ff_);
    if (l == 0) genes_per_layer_ = static_cast<std::int32_t>(genes_.size()) - first_layer_gene_;
  }

  Random random(0);
  space.sample_choices(random, skeleton_);
  skeleton_.layers.clear();

  // Which values go together, by the rules of the space and of the family.
  for (const Heads& heads : heads_) {
    auto& kv = valid_n_kv_head_.emplace_back();
    for (std::size_t i = 0; i < o.n_kv_head.size(); ++i) {
      if (heads.n_head % o.n_kv_head[i] == 0) kv.push_back(static_cast<std::uint16_t>(i));
    }
  }
  Architecture probe = skeleton_;
  for (const std::int64_t d : o.d_model) {
    probe.d_model = d;
    probe.layers = {Layer{}};
    for (const std::int64_t d_embed : o.d_embed) {
      for (const std::int64_t div_val : o.div_val) {
        probe.d_embed = d_embed;
        probe.div_val = div_val;
        valid_embedding_.push_back(valid(probe));
      }
    }
    probe.d_embed = family(o.family).embedding == Embedding::adaptive ? d : -1;
    probe.div_val = 1;
    for (const std::int64_t head_dim : head_dims_) {
      probe.head_dim = head_dim;
      auto& heads = valid_n_head_.emplace_back();
      for (std::size_t i = 0; i < heads_.size(); ++i) {
        probe.layers = {Layer{.n_head = heads_[i].n_head, .n_kv_head = heads_[i].n_kv_head}};
        const bool served = o.n_kv_head.empty() || !valid_n_kv_head_[i].empty();
        const bool wide = detail::heads_fit(o, probe, probe.layers.front());
        if (served && wide && valid(probe)) heads.push_back(static_cast<std::uint16_t>(i));
      }
    }
    const std::vector<std::int64_t>& d_ffs = widths(valid_d_ff_.size());
    auto& fitting = valid_d_ff_.emplace_back();
    for (std::size_t i = 0; i < d_ffs.size(); ++i) {
      if (detail::ff_ratio_fits(o, d_ffs[i], d)) fitting.push_back(static_cast<std::uint16_t>(i));
    }
  }
}

std::uint16_t Encoding::gene_or_zero(std::span<const std::uint16_t> genotype, std::int32_t gene) noexcept {
  return gene < 0 ? std::uint16_t{0} : genotype[static_cast<std::size_t>(gene)];
}

std::int64_t Encoding::n_layer(std::span<const std::uint16_t> genotype) const noexcept {
  return space_->options().n_layer[gene_or_zero(genotype, at_n_layer_)];
}

void Encoding::canonicalize(std::span<std::uint16_t> genotype) const noexcept {
  const auto active = static_cast<std::size_t>(first_layer_gene_ + n_layer(genotype) * genes_per_layer_);
  std::fill(genotype.begin() + static_cast<std::ptrdiff_t>(active), genotype.end(), std::uint16_t{0});
}

Genotype Encoding::encode(const Architecture& a) const {
  const SearchSpaceOptions& o = space_->options();
  // Values without a gene are checked, too.
  position_of(Dimension::n_layer, o.n_layer, a.n_layer());
  const std::uint16_t d = position_of(Dimension::d_model, o.d_model, a.d_model);
  position_of(Dimension::d_embed, o.d_embed, a.d_embed);
  position_of(Dimension::div_val, o.div_val, a.div_val);
  position_of(Dimension::head_dim, head_dims_, a.head_dim);
  Genotype genotype(genes_.size());
  for (std::size_t g = 0; g < genes_.size(); ++g) {
    const Gene& gene = genes_[g];
    if (gene.layer >= a.n_layer()) continue;
    const Layer& layer = a.layers[gene.layer < 0 ? 0 : static_cast<std::size_t>(gene.layer)];
    const auto position = [&gene](const std::vector<std::int64_t>& choices, std::int64_t value) {
      return position_of(gene.dimension, choices, value);
    };
    switch (gene.dimension) {
      case Dimension::d_model:
        genotype[g] = d;
        break;
      case Dimension::n_layer:
        genotype[g] = position(o.n_layer, a.n_layer());
        break;
      case Dimension::d_embed:
        genotype[g] = position(o.d_embed, a.d_embed);
        break;
      case Dimension::div_val:
        genotype[g] = position(o.div_val, a.div_val);
        break;
      case Dimension::n_head:
        genotype[g] =
            o.heads.empty() ? position(o.n_head, layer.n_head) : position_of(o.heads, {layer.n_head, layer.n_kv_head});
        break;
      case Dimension::n_kv_head:
        genotype[g] = position(o.n_kv_head, layer.n_kv_head);
        break;
      case Dimension::d_ff:
        genotype[g] = position(widths(d), layer.d_ff);
        break;
      case Dimension::head_dim:
        genotype[g] = position(head_dims_, a.head_dim);
        break;
      case Dimension::bias:
        genotype[g] = position_of(details_, differences(a.details, family(o.family)));
        break;
    }
  }
  return genotype;
}

Architecture Encoding::decode(std::span<const std::uint16_t> genotype) const {
  if (genotype.size() != genes_.size()) {
    throw_invalid(
        {"genotype has ", std::to_string(genotype.size()), " genes; the space has ", std::to_string(genes_.size())});
  }
  for (std::size_t g = 0; g < genes_.size(); ++g) {
    if (genotype[g] >= genes_[g].n_choices) {
      throw_invalid({"gene ", std::to_string(g), " is ", std::to_string(genotype[g]), "; ",
                     dimension_name(genes_[g].dimension), " has ", std::to_string(genes_[g].n_choices), " choices"});
    }
  }
  Architecture a = skeleton_;
  decode(genotype, a);
  return a;
}

void Encoding::decode(std::span<const std::uint16_t> genotype, Architecture& out) const {
  const SearchSpaceOptions& o = space_->options();
  const auto fixed = [](const Architecture& a) {
    return std::tie(a.family, a.vocab_size, a.n_positions, a.tie_embedding, a.cutoffs, a.tie_projs);
  };
  if (fixed(out) != fixed(skeleton_)) out = skeleton_;
  if (const Details& details = details_[gene_or_zero(genotype, at_bias_)]; out.details != details) {
    out.details = details;
  }
  out.head_dim = head_dims_[gene_or_zero(genotype, at_head_dim_)];
  const std::uint16_t d = gene_or_zero(genotype, at_d_model_);
  const std::vector<std::int64_t>& d_ffs = widths(d);
  out.d_model = o.d_model[d];
  out.d_embed = o.d_embed[gene_or_zero(genotype, at_d_embed_)];
  out.div_val = o.div_val[gene_or_zero(genotype, at_div_val_)];
  out.layers.reserve(static_cast<std::size_t>(o.n_layer.back()));  // enough for this and any later architecture
  out.layers.resize(static_cast<std::size_t>(n_layer(genotype)));
  const bool kv_follows = o.n_kv_head.empty();
  std::int32_t step = 0;  // distance to the genes of the layer
  for (Layer& layer : out.layers) {
    const auto gene = [&](std::int32_t at, bool shared) {
      return gene_or_zero(genotype, at < 0 || shared ? at : at + step);
    };
    const Heads& heads = heads_[gene(at_n_head_, o.shared_n_head)];
    layer.n_head = heads.n_head;
    layer.n_kv_head = kv_follows ? heads.n_kv_head : o.n_kv_head[gene(at_n_kv_head_, o.shared_n_kv_head)];
    layer.d_ff = d_ffs[gene(at_d_ff_, o.shared_d_ff)];
    step += genes_per_layer_;
  }
}

bool Encoding::repair(std::span<std::uint16_t> genotype, Random& random) const {
  const SearchSpaceOptions& o = space_->options();
  const std::size_t d = gene_or_zero(genotype, at_d_model_);
  const std::size_t embedding = (d * o.d_embed.size() + gene_or_zero(genotype, at_d_embed_)) * o.div_val.size() +
                                gene_or_zero(genotype, at_div_val_);
  if (!valid_embedding_[embedding]) return false;
  const auto& valid_n_head = valid_n_head_[d * head_dims_.size() + gene_or_zero(genotype, at_head_dim_)];

  bool changed = false;
  // Sets the gene to a valid choice; a dimension without a gene has its only choice, number 0.
  const auto fix = [&](std::int32_t at, const std::vector<std::uint16_t>& valid) {
    const std::uint16_t now = gene_or_zero(genotype, at);
    // Valid choices are nearly always a range; then a comparison is enough.
    const bool is_range = !valid.empty() && valid.back() - valid.front() + 1U == valid.size();
    if (is_range ? now >= valid.front() && now <= valid.back() : std::binary_search(valid.begin(), valid.end(), now)) {
      return true;
    }
    if (at < 0 || valid.empty()) return false;
    genotype[static_cast<std::size_t>(at)] = valid[random.below(static_cast<std::uint32_t>(valid.size()))];
    changed = true;
    return true;
  };
  const auto fix_layers = [&] {
    const auto depth = static_cast<std::int32_t>(n_layer(genotype));
    for (std::int32_t l = 0; l < depth; ++l) {
      const std::int32_t step = l * genes_per_layer_;
      const auto at = [step](std::int32_t first, bool shared) { return first < 0 || shared ? first : first + step; };
      const std::int32_t head = at(at_n_head_, o.shared_n_head);
      const std::int32_t kv_head = at(at_n_kv_head_, o.shared_n_kv_head);
      if (!fix(head, valid_n_head) || !fix(at(at_d_ff_, o.shared_d_ff), valid_d_ff_[d])) return false;
      if (!o.n_kv_head.empty() && !fix(kv_head, valid_n_kv_head_[gene_or_zero(genotype, head)])) return false;
    }
    return true;
  };
  if (!fix_layers()) return false;
  // A shared gene fixed for a late layer can break an earlier one.
  if (changed && (o.shared_n_head || o.shared_n_kv_head)) {
    changed = false;
    if (!fix_layers() || changed) return false;
  }
  canonicalize(genotype);
  if (!space_->bounded() && !may_be_empty_) return true;
  Architecture a = skeleton_;
  decode(genotype, a);
  return !detail::all_empty(a) && space_->within_bounds(a);
}

}  // namespace lts
