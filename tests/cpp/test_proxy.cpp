#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "architecture_fixture.hpp"
#include "lts/cost.hpp"
#include "lts/proxy.hpp"
#include "lts/weights.hpp"

namespace lts {
namespace {

TEST(Proxy, GeometricByHand) {
  const Architecture a = fixture::small_gpt2();  // attention 4 * 16 + 4 * 4, feed-forward 2 * 32 + 8 + 4
  EXPECT_DOUBLE_EQ(geometric(a), 0.5 * std::log(80.0) + 0.5 * std::log(76.0));
  EXPECT_DOUBLE_EQ(geometric(a, 1.0), std::log(80.0));
  EXPECT_DOUBLE_EQ(geometric(a, 0.0), std::log(76.0));
}

TEST(Proxy, ZerolmByHand) {
  const Architecture a = fixture::small_gpt2();  // four 4 x 4; 4 x 8 and 8 x 4
  EXPECT_DOUBLE_EQ(zerolm(a, 1.0, 1.0), 16);
  EXPECT_DOUBLE_EQ(zerolm(a, 0.0, 1.0), 16);
  EXPECT_DOUBLE_EQ(zerolm(a, 0.25, 2.0), 32);
  const Architecture wide = fixture::small_llama();  // d 8; query 8 x 8, key and value 8 x 4, output 8 x 8; three 8 x 6
  EXPECT_DOUBLE_EQ(zerolm(wide, 1.0, 1.0), 32);
  EXPECT_DOUBLE_EQ(zerolm(wide, 0.0, 1.0), 24);
  EXPECT_DOUBLE_EQ(zerolm(wide), 0.0004 * 28);
}

TEST(Proxy, DepthWeightedByHand) {
  // d 4, d_ff 8 with biases: 4 (16 + 4) in attention, 32 + 8 + 32 + 4 in the feed-forward network.
  Architecture a = fixture::small_gpt2();
  const double layer = 1.25 * 80 + 76;
  EXPECT_DOUBLE_EQ(depth_weighted(a), layer / 2);
  a.layers.push_back(a.layers[0]);
  EXPECT_DOUBLE_EQ(depth_weighted(a), layer * (1 + 2 * 0.5));
  a.layers.push_back(a.layers[0]);
  EXPECT_DOUBLE_EQ(depth_weighted(a), layer * (1 + 1.5 + 2 * 0.5));
}

TEST(Proxy, MoreIsMore) {
  Architecture a = fixture::gpt2();
  for (const auto proxy :
       {+[](const Architecture& x) { return geometric(x); }, +[](const Architecture& x) { return zerolm(x); },
        +[](const Architecture& x) { return depth_weighted(x); }}) {
    const double before = proxy(a);
    Architecture wider = a;
    wider.layers[3].d_ff += 64;
    EXPECT_GT(proxy(wider), before);
    Architecture deeper = a;
    deeper.layers.push_back(a.layers[0]);
    EXPECT_GT(proxy(deeper), before);
  }
}

}  // namespace
}  // namespace lts
