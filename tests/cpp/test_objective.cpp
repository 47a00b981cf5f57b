#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "lts/objective.hpp"
#include "lts/random.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;

Constraint at_most(double bound) { return {"x", Constraint::Relation::at_most, bound}; }
Constraint at_least(double bound) { return {"x", Constraint::Relation::at_least, bound}; }

TEST(Objective, ParsesBothDirections) {
  EXPECT_EQ(parse_objective("latency_ms:min"), (Objective{"latency_ms", Direction::minimize}));
  EXPECT_EQ(parse_objective("decoder_params:max"), (Objective{"decoder_params", Direction::maximize}));
  EXPECT_EQ(parse_objective("  a.b-c/2 : max\t"), (Objective{"a.b-c/2", Direction::maximize}));
}

TEST(Objective, RefusesEverythingElseShowingTheForm) {
  for (const std::string text : {"", ":", "latency_ms", "latency_ms:", ":min", " :min", "a:b:min", "a b:min", "x:Min",
                                 "x:minimize", "x:min:", "x<=1:min", "x=y:max", "x:min max"}) {
    EXPECT_EQ(message_of([&] { parse_objective(text); }),
              "objective '" + text + "': expected NAME:min or NAME:max, such as latency_ms:min");
  }
}

TEST(Objective, TextReadsBack) {
  for (const Objective& objective : {Objective{"a", Direction::minimize}, Objective{"b_2", Direction::maximize}}) {
    EXPECT_EQ(parse_objective(to_string(objective)), objective);
  }
  EXPECT_EQ(to_string(Objective{"latency_ms"}), "latency_ms:min");
}

TEST(Objective, MinimizedTurnsTheSign) {
  EXPECT_EQ(minimized({"x", Direction::minimize}, 3.0), 3.0);
  EXPECT_EQ(minimized({"x", Direction::maximize}, 3.0), -3.0);
  static_assert(minimized(Objective{}, 2.0) == 2.0);
}

TEST(Constraint, ParsesBothRelations) {
  EXPECT_EQ(parse_constraint("latency_ms<=10"), (Constraint{"latency_ms", Constraint::Relation::at_most, 10.0}));
  EXPECT_EQ(parse_constraint("params>=1.5e6"), (Constraint{"params", Constraint::Relation::at_least, 1.5e6}));
  EXPECT_EQ(parse_constraint(" x <= -0.25 "), at_most(-0.25));
  EXPECT_EQ(parse_constraint("x>=.5"), at_least(0.5));
}

TEST(Constraint, RefusesEverythingElseShowingTheForm) {
  for (const std::string text : {"",        "x",        "<=",    "<=1",     "x<=",     "x<1",     "x>1",    "x=1",
                                 "x==1",    "x= <1",    "x< =1", "x<=ten",  "x<=10ms", "x<=1 2",  "x<=nan", "x<=inf",
                                 "x>=-inf", "x<=1e999", "x<=+1", "x<=0x10", "x<==1",   "x<=1<=2", "a b<=1", "a:b<=1"}) {
    EXPECT_EQ(message_of([&] { parse_constraint(text); }),
              "constraint '" + text + "': expected NAME<=NUMBER or NAME>=NUMBER, such as latency_ms<=10");
  }
}

TEST(Constraint, TextReadsBackToTheLastBit) {
  EXPECT_EQ(to_string(at_most(10.0)), "x<=10");
  EXPECT_EQ(to_string(at_least(0.1)), "x>=0.1");
  EXPECT_EQ(to_string(at_most(-std::numeric_limits<double>::max())), "x<=-1.7976931348623157e+308");
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const double bound = std::bit_cast<double>(random.next());
    if (!std::isfinite(bound)) continue;
    const Constraint constraint{"name", i % 2 == 0 ? Constraint::Relation::at_most : Constraint::Relation::at_least,
                                bound};
    ASSERT_EQ(parse_constraint(to_string(constraint)), constraint) << to_string(constraint);
  }
}

TEST(Violation, IsZeroWithinTheBoundAndRelativeBeyond) {
  EXPECT_EQ(violation(at_most(10.0), 10.0), 0.0);
  EXPECT_EQ(violation(at_most(10.0), -kInfinity), 0.0);
  EXPECT_EQ(violation(at_most(10.0), 15.0), 0.5);
  EXPECT_EQ(violation(at_least(10.0), 10.0), 0.0);
  EXPECT_EQ(violation(at_least(10.0), 5.0), 0.5);
  EXPECT_EQ(violation(at_least(-10.0), -15.0), 0.5);
  EXPECT_EQ(violation(at_most(0.5), 0.75), 0.25);  // below 1 the scale stays 1
  EXPECT_EQ(violation(at_most(0.0), -0.0), 0.0);
}

TEST(Violation, IsNeverNan) {
  EXPECT_EQ(violation(at_most(10.0), kNan), kInfinity);
  EXPECT_EQ(violation(at_least(10.0), kNan), kInfinity);
  EXPECT_EQ(violation(at_most(10.0), kInfinity), kInfinity);
  EXPECT_EQ(violation(at_least(10.0), -kInfinity), kInfinity);
  EXPECT_EQ(violation(at_most(kInfinity), kInfinity), 0.0);
  EXPECT_EQ(violation(at_most(-kInfinity), 1.0), kInfinity);
  constexpr double max = std::numeric_limits<double>::max();
  EXPECT_EQ(violation(at_most(-max), max), 2.0);  // the difference overflows, the quotient does not
  EXPECT_EQ(violation(at_least(max), -max), 2.0);
}

TEST(Violation, IsPositiveExactlyWhenTheBoundDoesNotHold) {
  Random random(2);
  for (int i = 0; i < 50'000; ++i) {
    const double bound = std::bit_cast<double>(random.next());
    double value = std::bit_cast<double>(random.next());
    if (std::isnan(bound) || std::isnan(value)) continue;
    if (i % 3 == 0) value = std::nextafter(bound, kInfinity);
    if (i % 3 == 1) value = std::nextafter(bound, -kInfinity);
    ASSERT_EQ(violation(at_most(bound), value) > 0.0, value > bound) << bound << ' ' << value;
    ASSERT_EQ(violation(at_least(bound), value) > 0.0, value < bound) << bound << ' ' << value;
    ASSERT_GE(violation(at_most(bound), value), 0.0);
  }
}

TEST(Columns, ObjectivesFirstThenNewNamesOfConstraints) {
  const std::vector<Objective> objectives{{"b", Direction::minimize}, {"a", Direction::maximize}};
  const std::vector<Constraint> constraints{parse_constraint("c<=1"), parse_constraint("b<=1"),
                                            parse_constraint("c>=0"), parse_constraint("d>=0")};
  EXPECT_EQ(columns_of(objectives, constraints), (std::vector<std::string>{"b", "a", "c", "d"}));
  EXPECT_EQ(columns_of({}, {}), std::vector<std::string>{});
}

}  // namespace
}  // namespace lts
