#include "lts/proxy.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

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
  // Where no layer has the one or the other, as with one parameter.
  return alpha * detail::portable_log(std::max(attention, 1.0)) +
         (1 - alpha) * detail::portable_log(std::max(feed_forward, 1.0));
}

double zerolm(const Architecture& a, double alpha, double variance) {
  const auto [attention, feed_forward] = sums(a, [](const Weight& w) {
    return w.kind == WeightKind::matrix ? static_cast<double>(std::max(w.rows, w.cols)) : 0.0;
  });
  return variance * (alpha * attention + (1 - alpha) * feed_forward);
}

double depth_weighted(const Architecture& a) {
  constexpr double kAttention = 1.25;
  const std::size_t n = a.layers.size();
  double sum = 0;
  for (std::size_t l = 0; l < n; ++l) {
    double params = 0;
    visit_layer_weights(a, a.layers[l], 0, [&params](const Weight& w) {
      if (is_attention(w.role)) params += kAttention * static_cast<double>(w.size());
      if (is_feed_forward(w.role)) params += static_cast<double>(w.size());
    });
    const double depth = n > 1 ? static_cast<double>(l) / static_cast<double>(n - 1) : 0.0;
    sum += (1 + depth) * params * (l + 1 == n ? 0.5 : 1.0);
  }
  return sum;
}

}  // namespace lts
