#include <gtest/gtest.h>

#include <cmath>

#include "surrogate_quantile.hpp"

namespace lts::detail {
namespace {

using Rows = std::vector<std::vector<double>>;

TEST(StudentQuantile, OfWholeDegreesOfFreedom) {
  struct Known {
    double level;
    double degrees_of_freedom;
    double quantile;
  };
  for (const Known& k : {Known{0.5, 1, 1.0},
                         {0.5, 2, 0.8164965809277260},
                         {0.5, 3, 0.7648923284043450},
                         {0.9, 1, 6.3137515146750430},
                         {0.9, 2, 2.9199855803537251},
                         {0.9, 3, 2.3533634348018264},
                         {0.9, 4, 2.1318467863266499},
                         {0.9, 5, 2.0150483726691575},
                         {0.9, 9, 1.8331129326536337},
                         {0.9, 30, 1.6972608865939574},
                         {0.99, 1, 63.656741162871583},
                         {0.99, 2, 9.9248432009182928},
                         {0.99, 99, 2.6264054572808263}}) {
    EXPECT_NEAR(student_quantile(k.level, k.degrees_of_freedom) / k.quantile, 1, 1e-9)
        << k.level << " " << k.degrees_of_freedom;
  }
}

TEST(StudentQuantile, BetweenWholeOnesIsNoLessThanExact) {
  struct Known {
    double level;
    double degrees_of_freedom;
    double quantile;
  };
  for (const Known& k : {Known{0.5, 1.5, 0.8726},
                         {0.9, 1.2, 4.7958},
                         {0.9, 1.5, 3.7052},
                         {0.9, 1.8, 3.1537},
                         {0.9, 2.5, 2.5582},
                         {0.9, 5.5, 1.9753},
                         {0.9, 8.5, 1.8455},
                         {0.99, 1.5, 17.8203},
                         {0.99, 2.5, 7.1637}}) {
    const double found = student_quantile(k.level, k.degrees_of_freedom);
    EXPECT_GE(found, k.quantile * (1 - 1e-4)) << k.level << " " << k.degrees_of_freedom;
    EXPECT_LE(found, k.quantile * 1.04) << k.level << " " << k.degrees_of_freedom;
  }
}

TEST(StudentQuantile, FallsWithTheDegreesOfFreedom) {
  for (const double level : {0.5, 0.9, 0.99}) {
    double before = student_quantile(level, 1);
    EXPECT_EQ(student_quantile(level, 0.5), before);
    for (double n = 1.0625; n < 100; n += 0.0625) {
      const double now = student_quantile(level, n);
      EXPECT_LT(now, before) << level << " " << n;
      before = now;
    }
  }
}

TEST(IndependentErrors, AreThoseThatDoNotDepend) {
  EXPECT_DOUBLE_EQ(independent_errors(Rows{{1, 0, 0}, {0, 2, 0}, {0, 0, -3}}), 3);
  EXPECT_DOUBLE_EQ(independent_errors(Rows{{1, 2, 0}, {2, 4, 0}, {-1, -2, 0}}), 1);
  EXPECT_DOUBLE_EQ(independent_errors(Rows{{1, 2, 0}}), 1);
}

TEST(IndependentErrors, OfAMeanAreOneFewer) {
  constexpr std::size_t n = 7;  // each error is the difference to the mean of the others
  Rows rows(n, std::vector<double>(n, -1.0 / (n - 1)));
  for (std::size_t i = 0; i < n; ++i) rows[i][i] = 1;
  EXPECT_DOUBLE_EQ(independent_errors(rows), n - 1);
}

TEST(ErrorQuantile, IsOneOfThoseSeenWhereTheyTell) {
  std::vector<double> errors;
  for (int i = 1; i <= 19; ++i) errors.push_back(i);
  const std::vector<double> weights(errors.size(), 1.0);
  EXPECT_DOUBLE_EQ(error_quantile(errors, weights, 19, 0.9), 18);
  EXPECT_DOUBLE_EQ(error_quantile(errors, weights, 9, 0.9), 18) << "nine tell what the largest of nine is";
  EXPECT_DOUBLE_EQ(error_quantile(errors, weights, 1, 0.5), 10);
}

TEST(ErrorQuantile, IsStudentsWhereTheyDoNot) {
  const std::vector<double> errors{3, 1, 2, 4};
  const double spread = std::sqrt((9.0 + 1 + 4 + 16) / 4);
  EXPECT_DOUBLE_EQ(error_quantile(errors, std::vector<double>(4, 1.0), 2, 0.9), spread * student_quantile(0.9, 2));
  EXPECT_DOUBLE_EQ(error_quantile(errors, std::vector<double>(4, 0.2), 2, 0.9), spread * student_quantile(0.9, 2))
      << "as noisy as the samples";
  EXPECT_NEAR(error_quantile(errors, std::vector<double>{1, 1, 1, 1e-6}, 3, 0.9),
              std::sqrt(14.0 / 3) * student_quantile(0.9, 3), 1e-9)
      << "what hardly counts in the fit hardly counts here";
}

}  // namespace
}  // namespace lts::detail
