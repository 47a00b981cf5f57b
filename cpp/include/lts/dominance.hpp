#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace lts {

enum class Dominance : std::uint8_t { dominates, dominated, equal, incomparable };

/// Compares two points, every coordinate minimized: `dominates` when `a` is no worse in every coordinate and better in
/// at least one (Pareto dominance). O(m). Points have the same length; NaN is not allowed, infinities are.
Dominance compare(std::span<const double> a, std::span<const double> b) noexcept;

/// True when `a` dominates `b`. O(m).
bool dominates(std::span<const double> a, std::span<const double> b) noexcept;

/// Checks a row-major array of points, n x n_objectives. O(n m).
/// @throws std::invalid_argument when n_objectives is 0, the size is no multiple of it, or a coordinate is NaN.
void check_points(std::span<const double> points, std::size_t n_objectives);

/// A set of points, for asking quickly whether one of them dominates or equals a given point.
///
/// `ParetoArchive` and the sorting functions use it. A point is a pointer to n_objectives numbers, none NaN; unchecked.
/// Points lie in blocks of 16, column by column, so that a block is compared at once; blocks are the cells of a k-d
/// partition, which is renewed now and then, and are skipped by their corners (as in the ND-tree of Jaszkiewicz and
/// Lust, "ND-tree-based update: a fast algorithm for the dynamic nondominance problem", 2018). This affects speed only,
/// not the answers.
class DominanceIndex {
 public:
  explicit DominanceIndex(std::size_t n_objectives) noexcept : n_objectives_(n_objectives) {}

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Whether one of the points dominates or equals the given one. O(size m) at worst.
  [[nodiscard]] bool covers(const double* point) const noexcept;

  /// As `covers`, and remembers the point that covers: the next point dominated by it takes O(m).
  [[nodiscard]] bool covers_and_learn(const double* point) noexcept;

  /// Adds the point under a tag, removes those that it dominates or equals, and appends their tags, in no particular
  /// order, to `removed`. O(size m) at worst.
  void insert(const double* point, std::uint64_t tag, std::vector<std::uint64_t>& removed);

  void clear() noexcept;

 private:
  void append(const double* point, std::uint64_t tag);
  void arrange();

  std::size_t n_objectives_;
  std::size_t size_ = 0;
  std::size_t n_slots_ = 0;     // points and the holes that removed ones left
  std::size_t n_arranged_ = 0;  // n_slots_ when the blocks were last arranged
  std::vector<double> points_;
  std::vector<std::uint64_t> tags_;
  std::vector<double> lows_;    // per block the least coordinates of its points; the blocks are blocked like points
  std::vector<double> highs_;   // the greatest
  std::vector<double> recent_;  // one block: points that covered others lately; they may have been removed since
  std::size_t next_recent_ = 0;
};

}  // namespace lts
