#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lts/architecture.hpp"
#include "lts/big_uint.hpp"
#include "lts/random.hpp"
#include "lts/search_space_options.hpp"

namespace lts {

/// A set of architectures: all combinations of the choices that the rules allow.
///
/// Immutable and safe to share between threads. Indices follow d_model, head_dim, bias, then the shared dimensions,
/// d_embed, div_val, n_layer, then the layers from first to last.
class SearchSpace {
 public:
  /// @throws std::invalid_argument naming the dimension or rule that is wrong, or that leaves no architecture.
  explicit SearchSpace(SearchSpaceOptions options);

  [[nodiscard]] const SearchSpaceOptions& options() const noexcept { return options_; }

  /// The exact number of architectures.
  [[nodiscard]] const BigUint& size() const noexcept { return size_; }

  /// The architecture of that index. O(n_layer) without parameter bounds, O(n_layer * choices) with them.
  /// @throws std::invalid_argument when index >= size().
  [[nodiscard]] Architecture at(const BigUint& index) const;

  /// The inverse of `at`. @throws std::invalid_argument with the reason of `why_not`.
  [[nodiscard]] BigUint index(const Architecture& architecture) const;

  /// Why the architecture is not in the space; nothing when it is.
  [[nodiscard]] std::optional<std::string> why_not(const Architecture& architecture) const;
  [[nodiscard]] bool contains(const Architecture& architecture) const { return !why_not(architecture); }

  /// Uniform over all architectures of the space: nearly always one of the deepest.
  [[nodiscard]] Architecture sample(Random& random) const;
  /// Samples into `out`, without allocating once `out` comes from an earlier call; under parameter bounds only while
  /// the size is below 2^256.
  void sample(Random& random, Architecture& out) const;

  /// Uniform over the depths, widths and other choices, as LiteTransformerSearch draws its first population; allocates
  /// as `sample` does.
  void sample_choices(Random& random, Architecture& out) const;

  /// Whether the options bound the parameters.
  [[nodiscard]] bool bounded() const noexcept { return bounded_; }
  /// Whether the parameter bounds hold; the other rules are not checked.
  [[nodiscard]] bool within_bounds(const Architecture& architecture) const;

 private:
  /// Architectures of one depth that share everything but their layers.
  struct Group {
    std::uint32_t block = 0;
    std::int64_t n_layer = 0;
    std::int64_t min_sum = 0;  ///< bounds of the parameters of the layers
    std::int64_t max_sum = 0;
    std::uint64_t n_left_out = 0;  ///< 1: the first, whose layers are all empty, is no architecture
    BigUint begin;                 ///< index of its first architecture
    BigUint count;
  };
  /// A width of the embedding that goes with a d_model.
  struct EmbeddingChoice {
    std::int64_t d_embed = 0;
    std::int64_t div_val = 0;
  };
  /// The resources that counting may still use, so that no space takes minutes or all memory to build.
  struct Budget {
    std::uint64_t words;
    std::uint64_t steps;
    /// @throws std::invalid_argument when there is no room for the number.
    void keep(const BigUint& number);
  };
  /// How many ways `layers` layers have a parameter sum of at most sums[i]: below[i].
  struct Ways {
    std::vector<std::int64_t> sums;
    std::vector<BigUint> at_most;
    [[nodiscard]] BigUint between(std::int64_t low, std::int64_t high) const;
  };
  /// The layers that go with one d_model, head_dim and bias, and one value of every shared dimension.
  struct LayerSet {
    std::int64_t d_model = 0;
    std::int64_t head_dim = 0;
    std::uint32_t bias = 0;  ///< number of the choice
    std::vector<Layer> layers;
    std::vector<std::int64_t> params;
    /// By number of layers; none without parameter bounds. Shared by the copies of a space: they can be large.
    std::shared_ptr<const std::vector<Ways>> ways;
  };
  struct Block {
    std::int64_t d_model = 0;
    std::int64_t d_embed = 0;
    std::int64_t div_val = 0;
    std::uint32_t layer_set = 0;
  };

  void build();
  void add_layer_sets(const LayerSet& common, std::string& refusal);
  [[nodiscard]] std::vector<EmbeddingChoice> embedding_choices(std::int64_t d_model, std::string& refusal) const;
  void add_groups(std::uint32_t layer_set, const std::vector<EmbeddingChoice>& embeddings, Budget& budget);
  void set_bounds(Group& group, const Architecture& probe) const;
  [[noreturn]] void refuse(const std::string& refusal) const;
  void build_ways(LayerSet& set, std::int64_t max_sum, Budget& budget) const;
  [[nodiscard]] Architecture skeleton() const;
  void apply(const Block& block, Architecture& out) const;
  [[nodiscard]] static bool has_empty(const LayerSet& set) { return set.layers.front().empty(); }
  [[nodiscard]] static std::size_t position_of(const LayerSet& set, const Layer& layer);
  [[nodiscard]] std::size_t find_group(const Architecture& architecture, const LayerSet** set) const;
  void draw_layers(Random& random, const Group& group, Architecture& out) const;
  [[nodiscard]] const Group& group_of(const BigUint& index) const;
  void place(const Group& group, BigUint rest, Architecture& out) const;

  SearchSpaceOptions options_;
  const Family* family_ = nullptr;
  bool bounded_ = false;
  std::vector<Details> details_;  ///< by the number of the choice of bias; one without such choices
  std::vector<LayerSet> layer_sets_;
  std::vector<Block> blocks_;
  std::vector<Group> groups_;
  std::vector<std::uint64_t> thresholds_;  ///< cumulative sampling thresholds of the groups, out of 2^64
  BigUint size_;
};

}  // namespace lts
