#include "lts/proxy.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "lts/weights.hpp"
#include "portable_log.hpp"

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

}  // namespace

double geometric(const Architecture& a, double alpha) {
  const auto [attention, feed_forward] = sums(a, [](const Weight& w) { return static_cast<double>(w.size()); });
  return alpha * detail::portable_log(attention) + (1 - alpha) * detail::portable_log(feed_forward);
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
