#pragma once

#include "lts/architecture.hpp"

namespace lts {

// Training-free quality scores: more is better, and only the order of architectures means anything. The parameter
// counts of cost.hpp are proxies, too. All are O(n_layer).

/// Weight of attention against the feed-forward networks in `geometric` and `zerolm`.
inline constexpr double default_alpha = 0.5;
/// Variance of weights at initialization that `zerolm` assumes: N(0, 0.02^2), as GPT-2 and BERT are initialized.
inline constexpr double default_variance = 0.02 * 0.02;

/// alpha log P_attention + (1 - alpha) log P_feed_forward: the weighted geometric mean of the two parameter counts.
double geometric(const Architecture& architecture, double alpha = default_alpha);

/// ZeroLM (arXiv 2503.18646) at initialization: alpha S_attention + (1 - alpha) S_feed_forward, sums over the matrices
/// of the capacity ||W||_F^2 / min(rows, cols), whose expectation for entries of variance s^2 is s^2 max(rows, cols).
double zerolm(const Architecture& architecture, double alpha = default_alpha, double variance = default_variance);

/// Experimental, for sub-networks of one super-network: the sum over the layers of (1 + x) (1.25 A + F), the last layer
/// counted half. A and F are the parameters of attention and of the feed-forward network; x runs from 0 for the first
/// layer to 1 for the last.
double depth_weighted(const Architecture& architecture);

}  // namespace lts
