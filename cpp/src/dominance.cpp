#include "lts/dominance.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>

#include "lts/error.hpp"

namespace lts {

Dominance compare(std::span<const double> a, std::span<const double> b) noexcept {
  bool less = false;
  bool greater = false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    less |= a[i] < b[i];
    greater |= a[i] > b[i];
  }
  if (less) return greater ? Dominance::incomparable : Dominance::dominates;
  return greater ? Dominance::dominated : Dominance::equal;
}

bool dominates(std::span<const double> a, std::span<const double> b) noexcept {
  return compare(a, b) == Dominance::dominates;
}

void check_points(std::span<const double> points, std::size_t n_objectives) {
  if (n_objectives == 0) throw_invalid({"points: the number of objectives is 0; it must be at least 1"});
  if (points.size() % n_objectives != 0) {
    throw_invalid({"points: ", std::to_string(points.size()), " coordinates do not make whole points of ",
                   std::to_string(n_objectives), "; their number must be a multiple"});
  }
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!std::isnan(points[i])) continue;
    throw_invalid({"points: coordinate ", std::to_string(i % n_objectives), " of point ",
                   std::to_string(i / n_objectives), " is NaN; every coordinate must be a number"});
  }
}

// --- DominanceIndex ---

namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kRenewal = 8;  // the blocks are arranged anew after size / kRenewal insertions
constexpr double kHole = std::numeric_limits<double>::quiet_NaN();  // every comparison with it is false

/// A mask: bit j tells whether the block's point j is nowhere worse than the given one (`Reverse`: nowhere better).
///
/// M is the number of objectives where it is known at compile time, else 0. Hits are doubles because compilers turn a
/// choice between doubles, unlike one between integers, into SSE2 and NEON instructions.
template <std::size_t M, bool Reverse>
std::uint32_t compare_block(const double* block, const double* point, std::size_t n_objectives) noexcept {
  const std::size_t m = M == 0 ? n_objectives : M;
  double hits[kBlock];
  std::fill_n(hits, kBlock, 1.0);
  for (std::size_t k = 0; k < m; ++k) {
    const double* column = block + k * kBlock;
    const double limit = point[k];
    for (std::size_t j = 0; j < kBlock; ++j) {
      hits[j] = (Reverse ? column[j] >= limit : column[j] <= limit) ? hits[j] : 0.0;
    }
  }
  double sums[kBlock / 2];
  for (std::size_t j = 0; j < kBlock / 2; ++j) sums[j] = hits[j] + hits[j + kBlock / 2];
  for (std::size_t j = 0; j < kBlock / 4; ++j) sums[j] += sums[j + kBlock / 4];
  if (sums[0] + sums[1] + sums[2] + sums[3] == 0.0) return 0;  // the most frequent case
  std::uint32_t bits = 0;
  for (std::uint32_t j = 0; j < kBlock; ++j) bits |= (hits[j] != 0.0 ? 1U : 0U) << j;
  return bits;
}

/// Calls `visit(block)` for every block whose corner passes the comparison, until it returns true.
template <std::size_t M, bool Reverse, class Visit>
void visit_blocks(const std::vector<double>& corners, const double* point, std::size_t m, Visit&& visit) {
  for (std::size_t first = 0; first * m < corners.size(); first += kBlock) {
    for (std::uint32_t bits = compare_block<M, Reverse>(corners.data() + first * m, point, m); bits != 0;
         bits &= bits - 1) {
      if (visit(first + static_cast<std::size_t>(std::countr_zero(bits)))) return;
    }
  }
}

/// Calls `f` with the number of objectives as a constant, 0 for more than 4.
template <class F>
decltype(auto) with_constant(std::size_t m, F&& f) {
  switch (m) {
    case 2:
      return f(std::integral_constant<std::size_t, 2>{});
    case 3:
      return f(std::integral_constant<std::size_t, 3>{});
    case 4:
      return f(std::integral_constant<std::size_t, 4>{});
    default:
      return f(std::integral_constant<std::size_t, 0>{});
  }
}

/// Where the first coordinate of a point that covers the given one lies, or null.
template <std::size_t M>
const double* find_covering(const std::vector<double>& points, const std::vector<double>& lows, const double* point,
                            std::size_t m) noexcept {
  const double* found = nullptr;
  visit_blocks<M, false>(lows, point, m, [&](std::size_t block) {
    const double* begin = points.data() + block * kBlock * m;
    const std::uint32_t bits = compare_block<M, false>(begin, point, m);
    if (bits != 0) found = begin + std::countr_zero(bits);
    return bits != 0;
  });
  return found;
}

std::size_t address(std::size_t slot, std::size_t m) noexcept { return slot / kBlock * kBlock * m + slot % kBlock; }

/// Orders the points so that every run of 16 is a cell of a k-d partition.
void partition(const std::vector<double>& rows, std::span<std::size_t> order, std::size_t m, std::size_t k) {
  if (order.size() <= kBlock) return;
  const std::size_t half = (order.size() / kBlock + 1) / 2 * kBlock;
  std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(half), order.end(),
                   [&](std::size_t a, std::size_t b) { return rows[a * m + k] < rows[b * m + k]; });
  partition(rows, order.first(half), m, (k + 1) % m);
  partition(rows, order.subspan(half), m, (k + 1) % m);
}

}  // namespace

bool DominanceIndex::covers(const double* point) const noexcept {
  if (size_ == 0) return false;
  return with_constant(n_objectives_, [&](auto m) {
    return compare_block<m(), false>(recent_.data(), point, n_objectives_) != 0 ||
           find_covering<m()>(points_, lows_, point, n_objectives_) != nullptr;
  });
}

bool DominanceIndex::covers_and_learn(const double* point) noexcept {
  if (size_ == 0) return false;
  return with_constant(n_objectives_, [&](auto m) {
    if (compare_block<m(), false>(recent_.data(), point, n_objectives_) != 0) return true;
    const double* found = find_covering<m()>(points_, lows_, point, n_objectives_);
    if (found == nullptr) return false;
    for (std::size_t k = 0; k < n_objectives_; ++k) recent_[k * kBlock + next_recent_] = found[k * kBlock];
    next_recent_ = (next_recent_ + 1) % kBlock;
    return true;
  });
}

void DominanceIndex::insert(const double* point, std::uint64_t tag, std::vector<std::uint64_t>& removed) {
  with_constant(n_objectives_, [&](auto m) {
    visit_blocks<m(), true>(highs_, point, n_objectives_, [&](std::size_t block) {
      double* begin = points_.data() + block * kBlock * n_objectives_;
      for (std::uint32_t bits = compare_block<m(), true>(begin, point, n_objectives_); bits != 0; bits &= bits - 1) {
        const auto j = static_cast<std::size_t>(std::countr_zero(bits));
        removed.push_back(tags_[block * kBlock + j]);
        for (std::size_t k = 0; k < n_objectives_; ++k) begin[k * kBlock + j] = kHole;
        --size_;
      }
      return false;
    });
  });
  append(point, tag);
  if (n_slots_ - n_arranged_ > size_ / kRenewal + 4 * kBlock) arrange();
}

void DominanceIndex::append(const double* point, std::uint64_t tag) {
  const std::size_t m = n_objectives_;
  const std::size_t block = n_slots_ / kBlock;
  const bool opens_block = n_slots_ % kBlock == 0;
  if (opens_block) {
    points_.resize((block + 1) * kBlock * m, kHole);
    const std::size_t n_corners = (block / kBlock + 1) * kBlock * m;
    lows_.resize(n_corners, kHole);
    highs_.resize(n_corners, kHole);
    if (recent_.empty()) recent_.resize(kBlock * m, kHole);
  }
  tags_.push_back(tag);
  double* to = points_.data() + address(n_slots_, m);
  double* low = lows_.data() + address(block, m);
  double* high = highs_.data() + address(block, m);
  for (std::size_t k = 0; k < m * kBlock; k += kBlock, ++point) {
    to[k] = *point;
    low[k] = opens_block ? *point : std::min(low[k], *point);
    high[k] = opens_block ? *point : std::max(high[k], *point);
  }
  ++n_slots_;
  ++size_;
}

/// Removes the holes and makes the blocks cells of a k-d partition.
void DominanceIndex::arrange() {
  const std::size_t m = n_objectives_;
  std::vector<double> rows;
  std::vector<std::uint64_t> tags;
  rows.reserve(size_ * m);
  tags.reserve(size_);
  for (std::size_t slot = 0; slot < n_slots_; ++slot) {
    const double* from = points_.data() + address(slot, m);
    if (std::isnan(*from)) continue;
    for (std::size_t k = 0; k < m; ++k) rows.push_back(from[k * kBlock]);
    tags.push_back(tags_[slot]);
  }
  std::vector<std::size_t> order(size_);
  std::iota(order.begin(), order.end(), std::size_t{0});
  partition(rows, order, m, 0);
  points_.clear();
  tags_.clear();
  lows_.clear();
  highs_.clear();
  size_ = n_slots_ = 0;
  for (const std::size_t i : order) append(rows.data() + i * m, tags[i]);
  n_arranged_ = n_slots_;
}

void DominanceIndex::clear() noexcept {
  size_ = n_slots_ = n_arranged_ = next_recent_ = 0;
  points_.clear();
  tags_.clear();
  lows_.clear();
  highs_.clear();
  recent_.clear();
}

}  // namespace lts
