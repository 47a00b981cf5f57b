#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lts/search_space.hpp"

namespace lts {

/// The dense integer form of an architecture: one choice number per gene; genes of absent layers are 0.
using Genotype = std::vector<std::uint16_t>;

/// 64-bit hash of a genotype, equal on every platform (FNV-1a finished by splitmix64).
std::uint64_t hash_of(std::span<const std::uint16_t> genotype) noexcept;

/// Maps architectures of a space to genotypes and back.
///
/// Genes: d_model, n_layer, d_embed, div_val, head_dim, bias, then n_head, n_kv_head, d_ff for each layer up to the
/// deepest; a shared dimension has one gene before the layers, a dimension with a single choice has none. Where the
/// space has pairs of heads, the gene n_head is the number of the pair; where it has multiples of d_model, the gene
/// d_ff is the number of the multiple.
class Encoding {
 public:
  enum class Dimension : std::uint8_t { d_model, n_layer, d_embed, div_val, n_head, n_kv_head, d_ff, head_dim, bias };
  struct Gene {
    Dimension dimension;
    std::int32_t layer;  ///< -1: not of one layer
    std::uint16_t n_choices;
  };

  /// The space must outlive the encoding. @throws std::invalid_argument for more than 65,535 choices of a dimension.
  explicit Encoding(const SearchSpace& space);

  [[nodiscard]] const SearchSpace& space() const noexcept { return *space_; }
  [[nodiscard]] std::span<const Gene> genes() const noexcept { return genes_; }
  [[nodiscard]] std::size_t size() const noexcept { return genes_.size(); }

  /// @throws std::invalid_argument when a value of the architecture is not among the choices.
  [[nodiscard]] Genotype encode(const Architecture& architecture) const;

  /// @throws std::invalid_argument when the length or a gene is out of range. Does not check the rules of the space.
  [[nodiscard]] Architecture decode(std::span<const std::uint16_t> genotype) const;
  /// Decodes into `out`, unchecked, and without allocating once `out` comes from an earlier call.
  void decode(std::span<const std::uint16_t> genotype, Architecture& out) const;

  /// Depth of the architecture that the genotype stands for.
  [[nodiscard]] std::int64_t n_layer(std::span<const std::uint16_t> genotype) const noexcept;

  /// Sets the genes of absent layers to 0, so that equal architectures have equal genotypes.
  void canonicalize(std::span<std::uint16_t> genotype) const noexcept;

  /// Replaces genes that break a rule (heads, feed-forward ratio) by random ones that keep it, then canonicalizes.
  /// False when no choice keeps the rules or the parameter bounds do not hold.
  [[nodiscard]] bool repair(std::span<std::uint16_t> genotype, Random& random) const;

 private:
  [[nodiscard]] std::size_t n_choices(Dimension dimension) const noexcept;
  /// The feed-forward widths that genes stand for, with the d_model of that number.
  [[nodiscard]] const std::vector<std::int64_t>& widths(std::size_t d_model) const noexcept {
    return widths_[widths_.size() > 1 ? d_model : 0];
  }
  static std::uint16_t gene_or_zero(std::span<const std::uint16_t> genotype, std::int32_t gene) noexcept;

  const SearchSpace* space_;
  std::vector<Gene> genes_;
  std::vector<Heads> heads_;  ///< what a gene n_head stands for; n_kv_head counts where it has no gene
  std::vector<std::vector<std::int64_t>> widths_;  ///< what a gene d_ff stands for: by d_model where that matters
  std::vector<std::int64_t> head_dims_;
  std::vector<Details> details_;  ///< what a gene bias stands for
  bool may_be_empty_ = false;     ///< whether genes may choose layers without any weights
  Architecture skeleton_;
  // Position of each dimension's (first) gene, -1 for none; step from layer to layer.
  std::int32_t at_d_model_ = -1, at_n_layer_ = -1, at_d_embed_ = -1, at_div_val_ = -1;
  std::int32_t at_head_dim_ = -1, at_bias_ = -1;
  std::int32_t at_n_head_ = -1, at_n_kv_head_ = -1, at_d_ff_ = -1;
  std::int32_t first_layer_gene_ = 0;
  std::int32_t genes_per_layer_ = 0;
  // Valid choice numbers: n_head by d_model and head_dim, d_ff by d_model, and n_kv_head by n_head.
  std::vector<std::vector<std::uint16_t>> valid_n_head_, valid_d_ff_, valid_n_kv_head_;
  std::vector<bool> valid_embedding_;  ///< by d_model, d_embed, div_val
};

}  // namespace lts
