#pragma once

// Sub-networks of a pretrained model that was never there: a space and a table of losses, at random.

#include <cmath>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "lts/importance.hpp"
#include "lts/random.hpp"
#include "lts/search_space.hpp"

namespace lts::fixture {

struct Pruned {
  SearchSpaceOptions space;
  LossTable::State table;

  Pruned(Random& random, std::int64_t n_layer, std::vector<std::int64_t> d_ff = {64, 128, 192, 256}) {
    space.name = "pruned";
    space.family = "llama";
    space.vocab_size = 100;
    space.head_dim = 16;
    space.n_layer = {n_layer};
    space.d_model = {144};
    space.heads = {{3, 1}, {6, 2}, {9, 3}};
    space.d_ff = std::move(d_ff);
    for (std::int64_t l = 0; l < n_layer; ++l) {
      for (const auto& [n_head, n_kv_head] : space.heads) {
        const double loss = n_head == 9 ? 0.0 : random.uniform() / static_cast<double>(n_head);
        attention_[{l, n_head}] = loss;
        table.attention.push_back({l, n_head, n_kv_head, loss, loss * loss / 100});
      }
      for (const std::int64_t width : space.d_ff) {
        const double loss = width == space.d_ff.back() ? 0.0 : random.uniform() * 10 / static_cast<double>(width);
        feed_forward_[{l, width}] = loss;
        table.feed_forward.push_back({l, width, loss, loss * loss / 100});
      }
    }
  }

  [[nodiscard]] double attention_of(std::size_t l, const Layer& layer) const {
    return attention_.at({static_cast<std::int64_t>(l), layer.n_head});
  }
  [[nodiscard]] double feed_forward_of(std::size_t l, const Layer& layer) const {
    return feed_forward_.at({static_cast<std::int64_t>(l), layer.d_ff});
  }
  [[nodiscard]] double loss_of(std::size_t l, const Layer& layer) const {
    return attention_of(l, layer) + feed_forward_of(l, layer);
  }

 private:
  std::map<std::pair<std::int64_t, std::int64_t>, double> attention_;  ///< by layer and n_head
  std::map<std::pair<std::int64_t, std::int64_t>, double> feed_forward_;
};

}  // namespace lts::fixture
