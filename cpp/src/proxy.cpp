#include "lts/proxy.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "lts/weights.hpp"

namespace lts {

namespace {

/// Sums of `amount(weight)` over the weights of attention and of the feed-forward networks.
template <class Amount>
std::array<double, 2> sums(const Architecture& a, const Amount& amount) {
  std::array<double, 2> sum{};
  visit_decoder_weights(a, [&](const Weight& w) {
    if (is_attention(w.role)) sum[0] += amount(w);
    if (is_feed_forward(w.role)) sum[1] += amount(w);
  });
  return sum;
}

/// Natural logarithm of a number from 1 on, in operations that are exactly rounded everywhere: those of C libraries
/// differ in the last bit where one uses fused multiply-add and the other does not.
double logarithm(double x) {
  // x = m 2^exponent with m from sqrt(1/2) to sqrt(2).
  constexpr auto lowest = std::bit_cast<std::int64_t>(std::numbers::sqrt2 / 2);
  constexpr int fraction_bits = 52;
  const auto bits = std::bit_cast<std::int64_t>(x);
  const std::int64_t exponent = (bits - lowest) >> fraction_bits;
  const auto m = std::bit_cast<double>(bits - exponent * (std::int64_t{1} << fraction_bits));
  // log m = 2 artanh s = 2 s (1 + s^2 / 3 + s^4 / 5 + ...), in two sums that are computed side by side; the terms left
  // out are below 2^-56 of the whole.
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  const double w = z * z;
  const double odd = z * (1.0 / 3 + w * (1.0 / 7 + w * (1.0 / 11 + w * (1.0 / 15 + w * (1.0 / 19)))));
  const double even = w * (1.0 / 5 + w * (1.0 / 9 + w * (1.0 / 13 + w * (1.0 / 17 + w * (1.0 / 21)))));
  // The upper part of log 2 has so few bits that its product with the exponent is exact.
  constexpr double log2_upper = 0x1.62e42feep-1;
  constexpr double log2_lower = 0x1.a39ef35793c76p-33;
  const auto n = static_cast<double>(exponent);
  return n * log2_upper + (2 * s + (2 * s * (odd + even) + n * log2_lower));
}

}  // namespace

double geometric(const Architecture& a, double alpha) {
  const auto [attention, feed_forward] = sums(a, [](const Weight& w) { return static_cast<double>(w.size()); });
  return alpha * logarithm(attention) + (1 - alpha) * logarithm(feed_forward);
}

double zerolm(const Architecture& a, double alpha, double variance) {
  const auto [attention, feed_forward] = sums(a, [](const Weight& w) {
    return w.kind == WeightKind::matrix ? static_cast<double>(std::max(w.rows, w.cols)) : 0.0;
  });
  return variance * (alpha * attention + (1 - alpha) * feed_forward);
}

double depth_weighted(const Architecture& a) {
  double sum = 0;
  double layer = 0;
  for (const Layer& each : a.layers) {
    double params = 0;
    visit_layer_weights(a, each, 0, [&params](const Weight& w) { params += static_cast<double>(w.size()); });
    sum += params / std::sqrt(++layer);
  }
  return sum;
}

}  // namespace lts
