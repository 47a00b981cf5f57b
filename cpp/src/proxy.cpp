#include "lts/proxy.hpp"

#include <algorithm>
#include <array>
#include <cmath>
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

/// Natural logarithm of a positive number in operations that are exactly rounded everywhere: C libraries' differ in the
/// last bit where one uses fused multiply-add and the other does not.
double logarithm(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // from 1/2 to 1
  if (m < 1 / std::numbers::sqrt2) {
    m *= 2;
    --exponent;
  }
  // log m = 2 artanh s; the terms left out are below 2^-56 of the sum.
  const double s = (m - 1) / (m + 1);
  double series = 0;
  for (int power = 21; power > 1; power -= 2) series = (series + 1.0 / power) * (s * s);
  // The upper part of log 2 has so few bits that its product with the exponent is exact.
  constexpr double log2_upper = 0x1.62e42feep-1;
  constexpr double log2_lower = 0x1.a39ef35793c76p-33;
  return exponent * log2_upper + (2 * s + (2 * s * series + exponent * log2_lower));
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
