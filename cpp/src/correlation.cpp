#include "lts/correlation.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "lts/error.hpp"

namespace lts {

namespace {

void check(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size()) {
    throw_invalid({"correlation: ", std::to_string(x.size()), " and ", std::to_string(y.size()),
                   " values; there must be as many of one as of the other"});
  }
  if (x.size() < 2) throw_invalid({"correlation: ", std::to_string(x.size()), " pairs; there must be 2 or more"});
  for (const auto& values : {x, y}) {
    if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) {
      throw_invalid({"correlation: a value is not a number"});
    }
    if (std::all_of(values.begin(), values.end(), [&](double v) { return v == values[0]; })) {
      throw_invalid({"correlation: all values are equal, so that there is no order to compare"});
    }
  }
}

/// Positions in ascending order of the values; equal ones in the order of `second`.
std::vector<std::size_t> order_of(std::span<const double> values, std::span<const double> second) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (values[a] != values[b]) return values[a] < values[b];
    if (second[a] != second[b]) return second[a] < second[b];
    return a < b;
  });
  return order;
}

std::vector<double> ranks(std::span<const double> values) {
  const std::vector<std::size_t> order = order_of(values, values);
  std::vector<double> rank(values.size());
  for (std::size_t i = 0; i < order.size();) {
    std::size_t end = i + 1;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (std::size_t k = i; k < end; ++k) rank[order[k]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return rank;
}

/// Pairs that are equal, by the lengths of the runs of equal neighbors.
template <class Equal>
std::uint64_t tied(std::size_t n, const Equal& equal) {
  std::uint64_t pairs = 0;
  std::uint64_t run = 0;
  for (std::size_t i = 1; i < n; ++i) {
    run = equal(i - 1, i) ? run + 1 : 0;
    pairs += run;
  }
  return pairs;
}

/// Sorts, and counts how many exchanges of neighbors that takes.
std::uint64_t exchanges(std::vector<double>& values, std::vector<double>& scratch, std::size_t begin, std::size_t end) {
  if (end - begin < 2) return 0;
  const std::size_t middle = begin + (end - begin) / 2;
  std::uint64_t count = exchanges(values, scratch, begin, middle) + exchanges(values, scratch, middle, end);
  std::size_t left = begin;
  std::size_t right = middle;
  for (std::size_t out = begin; out < end; ++out) {
    if (right == end || (left < middle && values[left] <= values[right])) {
      scratch[out] = values[left++];
    } else {
      scratch[out] = values[right++];
      count += middle - left;
    }
  }
  const auto at = [](std::size_t i) { return static_cast<std::ptrdiff_t>(i); };
  std::copy(scratch.begin() + at(begin), scratch.begin() + at(end), values.begin() + at(begin));
  return count;
}

}  // namespace

double spearman(std::span<const double> x, std::span<const double> y) {
  check(x, y);
  const std::vector<double> a = ranks(x);
  const std::vector<double> b = ranks(y);
  const double mean = static_cast<double>(x.size() - 1) / 2;
  double product = 0;
  double square_a = 0;
  double square_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += (a[i] - mean) * (b[i] - mean);
    square_a += (a[i] - mean) * (a[i] - mean);
    square_b += (b[i] - mean) * (b[i] - mean);
  }
  return product / std::sqrt(square_a * square_b);
}

double kendall(std::span<const double> x, std::span<const double> y) {
  check(x, y);
  const std::size_t n = x.size();
  const std::vector<std::size_t> order = order_of(x, y);
  std::vector<double> sorted(n);
  for (std::size_t i = 0; i < n; ++i) sorted[i] = y[order[i]];
  const std::uint64_t tied_x = tied(n, [&](std::size_t i, std::size_t k) { return x[order[i]] == x[order[k]]; });
  const std::uint64_t tied_both =
      tied(n, [&](std::size_t i, std::size_t k) { return x[order[i]] == x[order[k]] && sorted[i] == sorted[k]; });
  std::vector<double> scratch(n);
  const std::uint64_t swapped = exchanges(sorted, scratch, 0, n);
  const std::uint64_t tied_y = tied(n, [&](std::size_t i, std::size_t k) { return sorted[i] == sorted[k]; });
  const double pairs = static_cast<double>(n) * static_cast<double>(n - 1) / 2;
  const double ordered = pairs - static_cast<double>(tied_x) - static_cast<double>(tied_y) +
                         static_cast<double>(tied_both) - 2 * static_cast<double>(swapped);
  return ordered / std::sqrt((pairs - static_cast<double>(tied_x)) * (pairs - static_cast<double>(tied_y)));
}

}  // namespace lts
