#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "lts/correlation.hpp"
#include "lts/random.hpp"
#include "message.hpp"

namespace lts {
namespace {

using oracle::message_of;
using Values = std::vector<double>;

int sign(double a, double b) { return a < b ? -1 : (a > b ? 1 : 0); }

/// By the definition, over all pairs.
double tau_b(const Values& x, const Values& y) {
  double product = 0;
  double nx = 0;
  double ny = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      product += sign(x[i], x[k]) * sign(y[i], y[k]);
      nx += std::abs(sign(x[i], x[k]));
      ny += std::abs(sign(y[i], y[k]));
    }
  }
  return product / std::sqrt(nx * ny);
}

/// The correlation of mean ranks, each counted over all others.
double rho(const Values& x, const Values& y) {
  const auto rank = [](const Values& v, std::size_t i) {
    double r = 0;
    for (const double other : v) r += other < v[i] ? 1 : (other == v[i] ? 0.5 : 0);
    return r;
  };
  double mean = static_cast<double>(x.size()) / 2;
  double product = 0;
  double sx = 0;
  double sy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double a = rank(x, i) - mean;
    const double b = rank(y, i) - mean;
    product += a * b;
    sx += a * a;
    sy += b * b;
  }
  return product / std::sqrt(sx * sy);
}

TEST(Correlation, ByHand) {
  EXPECT_DOUBLE_EQ(spearman(Values{1, 2, 3}, Values{10, 20, 30}), 1);
  EXPECT_DOUBLE_EQ(kendall(Values{1, 2, 3}, Values{30, 20, 10}), -1);
  EXPECT_DOUBLE_EQ(spearman(Values{1, 2, 3, 4}, Values{1, 3, 2, 4}), 0.8);
  EXPECT_DOUBLE_EQ(kendall(Values{1, 2, 3, 4}, Values{1, 3, 2, 4}), 2.0 / 3);
}

TEST(Correlation, IsTheDefinition) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 2 + random.below(40);
    const std::uint32_t levels = 2 + random.below(20);  // many ties
    Values x(n);
    Values y(n);
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = random.below(levels);
      y[i] = random.below(levels) + (random.bernoulli(0.5) ? x[i] : 0);
    }
    x[0] = -1;
    x[1] = 100;
    y[0] = 100;
    y[1] = -1;
    EXPECT_NEAR(kendall(x, y), tau_b(x, y), 1e-12);
    EXPECT_NEAR(spearman(x, y), rho(x, y), 1e-12);
    EXPECT_NEAR(kendall(x, y), kendall(y, x), 1e-12);
    EXPECT_DOUBLE_EQ(kendall(x, x), 1);
  }
}

TEST(Correlation, InfinityIsAValue) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_DOUBLE_EQ(spearman(Values{-infinity, 0, infinity}, Values{1, 2, 3}), 1);
}

TEST(Correlation, WrongArguments) {
  for (const auto function : {spearman, kendall}) {
    const auto told = [&](const Values& x, const Values& y) { return message_of([&] { (void)function(x, y); }); };
    EXPECT_EQ(told({1}, {1}), "correlation: 1 pairs; there must be 2 or more");
    EXPECT_EQ(told({1, 2}, {1}), "correlation: 2 and 1 values; there must be as many of one as of the other");
    EXPECT_EQ(told({1, std::nan("")}, {1, 2}), "correlation: a value is not a number");
    EXPECT_EQ(told({1, 2}, {3, 3}), "correlation: all values are equal, so that there is no order to compare");
  }
}

}  // namespace
}  // namespace lts
