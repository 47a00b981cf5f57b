#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "lts/dominance.hpp"

namespace lts {

/// The non-dominated points seen so far, each with an id, all coordinates minimized.
///
/// Among equal points the first stays. Members are in the order of insertion, so equal histories give equal archives on
/// every platform, and inserting the members of an archive, in order, into an empty one gives an equal archive.
/// Insertion is O(size * n_objectives) at worst and much faster for points that a frequent dominator dominates.
/// A coordinate may be infinite. Not safe for concurrent calls unless all are const.
class ParetoArchive {
 public:
  /// @throws std::invalid_argument when n_objectives is 0.
  explicit ParetoArchive(std::size_t n_objectives);

  /// Adds the point unless a member dominates or equals it, and drops the members that it dominates.
  /// Ids of dropped members are appended to `dropped` when given. True when the point stayed.
  /// @throws std::invalid_argument on NaN or a wrong number of coordinates; the archive is then unchanged.
  bool insert(std::span<const double> point, std::uint64_t id, std::vector<std::uint64_t>* dropped = nullptr);

  /// Inserts many points, row-major, one id each, in order; returns how many of them are members in the end.
  /// @throws std::invalid_argument as `insert`, or when the number of ids is another; the archive is then unchanged.
  std::size_t insert_all(std::span<const double> points, std::span<const std::uint64_t> ids);

  /// Whether a member dominates or equals the point. O(size * n_objectives).
  /// @throws std::invalid_argument on NaN or a wrong number of coordinates.
  [[nodiscard]] bool covers(std::span<const double> point) const;

  [[nodiscard]] std::size_t n_objectives() const noexcept { return n_objectives_; }
  [[nodiscard]] std::size_t size() const noexcept { return ids_.size(); }
  [[nodiscard]] bool empty() const noexcept { return ids_.empty(); }
  /// Ids of the members, in the order of insertion.
  [[nodiscard]] std::span<const std::uint64_t> ids() const noexcept { return ids_; }
  /// Coordinates of the members: row-major, size() x n_objectives(), in the order of insertion.
  [[nodiscard]] std::span<const double> points() const noexcept { return points_; }
  [[nodiscard]] std::span<const double> point(std::size_t i) const noexcept {
    return std::span(points_).subspan(i * n_objectives_, n_objectives_);
  }
  void clear() noexcept;

 private:
  void check(std::span<const double> point) const;
  bool place(const double* point, std::uint64_t id, std::vector<std::uint64_t>* dropped);
  void drop(std::vector<std::uint64_t>* dropped);

  std::size_t n_objectives_;
  std::vector<double> points_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::uint64_t> numbers_;  // per member the number of its insertion, ascending
  std::uint64_t n_inserted_ = 0;
  DominanceIndex index_;                // the points by their numbers, arranged for searching
  std::vector<std::uint64_t> removed_;  // scratch of `place`
};

}  // namespace lts
