#include "lts/archive.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "lts/error.hpp"

namespace lts {

ParetoArchive::ParetoArchive(std::size_t n_objectives) : n_objectives_(n_objectives), index_(n_objectives) {
  if (n_objectives == 0) throw_invalid({"archive: the number of objectives is 0; it must be at least 1"});
}

void ParetoArchive::check(std::span<const double> point) const {
  if (point.size() != n_objectives_) {
    throw_invalid({"archive: a point of ", std::to_string(point.size()), " coordinates; it must have ",
                   std::to_string(n_objectives_), ", one for each objective"});
  }
  for (std::size_t k = 0; k < point.size(); ++k) {
    if (!std::isnan(point[k])) continue;
    throw_invalid({"archive: coordinate ", std::to_string(k), " of the point is NaN; it must be a number"});
  }
}

bool ParetoArchive::insert(std::span<const double> point, std::uint64_t id, std::vector<std::uint64_t>* dropped) {
  check(point);
  return place(point.data(), id, dropped);
}

std::size_t ParetoArchive::insert_all(std::span<const double> points, std::span<const std::uint64_t> ids) {
  check_points(points, n_objectives_);
  const std::size_t n = points.size() / n_objectives_;
  if (ids.size() != n) {
    throw_invalid(
        {"archive: ", std::to_string(ids.size()), " ids for ", std::to_string(n), " points; every point needs one"});
  }
  const std::uint64_t first = n_inserted_;
  for (std::size_t i = 0; i < n; ++i) place(points.data() + i * n_objectives_, ids[i], nullptr);
  return static_cast<std::size_t>(numbers_.end() - std::lower_bound(numbers_.begin(), numbers_.end(), first));
}

bool ParetoArchive::place(const double* point, std::uint64_t id, std::vector<std::uint64_t>* dropped) {
  if (index_.covers_and_learn(point)) return false;
  removed_.clear();
  index_.insert(point, n_inserted_, removed_);
  if (!removed_.empty()) drop(dropped);
  points_.insert(points_.end(), point, point + n_objectives_);
  ids_.push_back(id);
  numbers_.push_back(n_inserted_++);
  return true;
}

/// Removes the members numbered in `removed_` and closes the gaps.
void ParetoArchive::drop(std::vector<std::uint64_t>* dropped) {
  std::sort(removed_.begin(), removed_.end());
  for (std::uint64_t& number : removed_) {  // numbers of insertions become rows
    number = static_cast<std::uint64_t>(std::lower_bound(numbers_.begin(), numbers_.end(), number) - numbers_.begin());
  }
  const auto row = [this](std::size_t i) { return static_cast<std::size_t>(removed_[i]); };
  std::size_t to = row(0);
  for (std::size_t i = 0; i < removed_.size(); ++i) {
    const std::size_t begin = row(i) + 1;
    const std::size_t end = i + 1 < removed_.size() ? row(i + 1) : size();
    if (dropped != nullptr) dropped->push_back(ids_[begin - 1]);
    const auto move_down = [&](auto& values, std::size_t width) {
      std::copy(values.data() + begin * width, values.data() + end * width, values.data() + to * width);
    };
    move_down(points_, n_objectives_);
    move_down(ids_, 1);
    move_down(numbers_, 1);
    to += end - begin;
  }
  points_.resize(to * n_objectives_);
  ids_.resize(to);
  numbers_.resize(to);
}

bool ParetoArchive::covers(std::span<const double> point) const {
  check(point);
  return index_.covers(point.data());
}

void ParetoArchive::clear() noexcept {
  points_.clear();
  ids_.clear();
  numbers_.clear();
  n_inserted_ = 0;
  index_.clear();
}

}  // namespace lts
