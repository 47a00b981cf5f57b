#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lts/archive.hpp"
#include "lts/random.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;
using oracle::Point;
using Model = oracle::PointList;

void expect_equal(const ParetoArchive& archive, const Model& model) {
  ASSERT_EQ(archive.size(), model.points.size());
  ASSERT_EQ(archive.empty(), model.points.empty());
  ASSERT_TRUE(std::equal(model.ids.begin(), model.ids.end(), archive.ids().begin(), archive.ids().end()));
  ASSERT_EQ(archive.points().size(), archive.size() * archive.n_objectives());
  for (std::size_t i = 0; i < archive.size(); ++i) {
    const std::span<const double> point = archive.point(i);
    ASSERT_TRUE(std::equal(point.begin(), point.end(), model.points[i].begin(), model.points[i].end()));
  }
}

void expect_equal(const ParetoArchive& a, const ParetoArchive& b) {
  ASSERT_TRUE(std::equal(a.ids().begin(), a.ids().end(), b.ids().begin(), b.ids().end()));
  ASSERT_TRUE(std::equal(a.points().begin(), a.points().end(), b.points().begin(), b.points().end()));
}

/// Points near a front that comes closer with time, so that members are dropped all along; or a grid with many ties.
Point random_point(Random& random, std::size_t m, std::uint64_t kind, double time) {
  return kind == 0 ? oracle::random_tie(random, m)
                   : oracle::random_near_front(random, m, kind == 1 ? 0.01 : 1.0 - time);
}

class ArchiveOf : public testing::TestWithParam<std::size_t> {};

TEST_P(ArchiveOf, AgreesWithAList) {
  const std::size_t m = GetParam();
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    Random random(seed);
    ParetoArchive archive(m);
    Model model;
    std::vector<std::uint64_t> dropped;
    std::vector<std::uint64_t> expected_dropped;
    for (std::uint64_t i = 0; i < 1'500; ++i) {
      const Point point = random_point(random, m, seed % 3, static_cast<double>(i) / 1'500.0);
      const bool covered = model.covers(point);
      ASSERT_EQ(archive.covers(point), covered);
      const std::uint64_t id = random.next();
      if (!covered) model.add(point, id, expected_dropped);
      ASSERT_EQ(archive.insert(point, id, &dropped), !covered);
      ASSERT_EQ(dropped, expected_dropped);  // in the order of insertion
      if (i % 100 == 0) expect_equal(archive, model);
    }
    expect_equal(archive, model);
  }
}

TEST_P(ArchiveOf, RestoredInOrderItIsTheSameAndGoesOnTheSame) {
  const std::size_t m = GetParam();
  for (std::uint64_t seed = 0; seed < 9; ++seed) {
    Random random(100 + seed);
    ParetoArchive archive(m);
    for (std::uint64_t i = 0; i < 1'000; ++i) {
      archive.insert(random_point(random, m, seed % 3, static_cast<double>(i) / 2'000.0), i);
    }
    ParetoArchive restored(m);
    for (std::size_t i = 0; i < archive.size(); ++i) {
      std::vector<std::uint64_t> dropped;
      ASSERT_TRUE(restored.insert(archive.point(i), archive.ids()[i], &dropped));
      ASSERT_TRUE(dropped.empty());
    }
    expect_equal(archive, restored);
    for (std::uint64_t i = 1'000; i < 2'000; ++i) {
      const Point point = random_point(random, m, seed % 3, static_cast<double>(i) / 2'000.0);
      std::vector<std::uint64_t> dropped;
      std::vector<std::uint64_t> dropped_restored;
      ASSERT_EQ(archive.insert(point, i, &dropped), restored.insert(point, i, &dropped_restored));
      ASSERT_EQ(dropped, dropped_restored);
    }
    expect_equal(archive, restored);
  }
}

TEST_P(ArchiveOf, InsertAllCountsThoseThatAreMembersInTheEnd) {
  const std::size_t m = GetParam();
  Random random(200 + m);
  ParetoArchive archive(m);
  ParetoArchive one_by_one(m);
  std::uint64_t next_id = 0;
  for (int i = 0; i < 60; ++i) {
    std::vector<double> points;
    std::vector<std::uint64_t> ids;
    for (std::size_t n = random.below(40); n > 0; --n) {
      const Point point = random_point(random, m, static_cast<std::uint64_t>(i) % 3, i / 60.0);
      points.insert(points.end(), point.begin(), point.end());
      ids.push_back(next_id);
      one_by_one.insert(point, next_id++);
    }
    const std::size_t n_stayed = archive.insert_all(points, ids);
    expect_equal(archive, one_by_one);
    const std::uint64_t first = next_id - ids.size();
    ASSERT_EQ(n_stayed, static_cast<std::size_t>(std::count_if(archive.ids().begin(), archive.ids().end(),
                                                               [&](std::uint64_t id) { return id >= first; })));
  }
}

TEST_P(ArchiveOf, RefusesBadPointsAndStaysAsItWas) {
  const std::size_t m = GetParam();
  ParetoArchive archive(m);
  const Point point(m, 1.0);
  archive.insert(point, 7);
  Point bad(m, 0.0);
  bad[m - 1] = kNan;
  const std::string nan = "archive: coordinate " + std::to_string(m - 1) + " of the point is NaN; it must be a number";
  EXPECT_EQ(message_of([&] { archive.insert(bad, 8); }), nan);
  EXPECT_EQ(message_of([&] { (void)archive.covers(bad); }), nan);
  const Point longer(m + 1, 0.0);
  const std::string length = "archive: a point of " + std::to_string(m + 1) + " coordinates; it must have " +
                             std::to_string(m) + ", one for each objective";
  EXPECT_EQ(message_of([&] { archive.insert(longer, 8); }), length);
  EXPECT_EQ(message_of([&] { (void)archive.covers(longer); }), length);

  std::vector<double> points(m, 0.0);  // would drop the member, were the second one not bad
  points.insert(points.end(), bad.begin(), bad.end());
  EXPECT_EQ(message_of([&] {
              archive.insert_all(points, std::vector<std::uint64_t>{1, 2});
            }),
            "points: coordinate " + std::to_string(m - 1) + " of point 1 is NaN; every coordinate must be a number");
  EXPECT_EQ(message_of([&] { archive.insert_all(point, {}); }), "archive: 0 ids for 1 points; every point needs one");
  ASSERT_EQ(archive.size(), 1U);
  EXPECT_EQ(archive.ids()[0], 7U);
  EXPECT_TRUE(std::equal(point.begin(), point.end(), archive.point(0).begin()));
}

INSTANTIATE_TEST_SUITE_P(Objectives, ArchiveOf, testing::Values(1, 2, 3, 4, 5, 7));

TEST(Archive, RefusesNoObjectivesAndRaggedPoints) {
  EXPECT_EQ(message_of([] { ParetoArchive archive(0); }),
            "archive: the number of objectives is 0; it must be at least 1");
  ParetoArchive archive(2);
  EXPECT_EQ(message_of([&] {
              archive.insert_all(Point{1, 2, 3}, std::vector<std::uint64_t>{1});
            }),
            "points: 3 coordinates do not make whole points of 2; their number must be a multiple");
}

TEST(Archive, Example) {
  ParetoArchive archive(2);
  EXPECT_EQ(archive.n_objectives(), 2U);
  EXPECT_TRUE(archive.empty());
  EXPECT_FALSE(archive.covers(Point{1, 1}));
  EXPECT_TRUE(archive.insert(Point{3, 1}, 10));
  EXPECT_TRUE(archive.insert(Point{1, 3}, 11));
  EXPECT_FALSE(archive.insert(Point{3, 1}, 12));  // of equal points the first stays
  EXPECT_FALSE(archive.insert(Point{3, 2}, 13));  // dominated, though equal in one objective
  EXPECT_TRUE(archive.insert(Point{2, 2}, 14));
  std::vector<std::uint64_t> dropped{99};
  EXPECT_TRUE(archive.insert(Point{1, 1}, 15, &dropped));
  EXPECT_EQ(dropped, (std::vector<std::uint64_t>{99, 10, 11, 14}));  // appended, in order
  EXPECT_EQ(archive.size(), 1U);
  EXPECT_EQ(archive.ids()[0], 15U);
  EXPECT_TRUE(archive.covers(Point{1, 1}));
  EXPECT_FALSE(archive.insert(archive.point(0), 16));  // its own memory
  archive.clear();
  EXPECT_TRUE(archive.empty());
  EXPECT_FALSE(archive.covers(Point{9, 9}));
  EXPECT_TRUE(archive.insert(Point{9, 9}, 1));
}

TEST(Archive, ZerosAreEqualAndInfinitiesAllowed) {
  ParetoArchive archive(2);
  EXPECT_TRUE(archive.insert(Point{0.0, -0.0}, 0));
  EXPECT_FALSE(archive.insert(Point{-0.0, 0.0}, 1));
  EXPECT_TRUE(archive.insert(Point{-kInfinity, kInfinity}, 2));
  EXPECT_FALSE(archive.insert(Point{-kInfinity, kInfinity}, 3));
  EXPECT_TRUE(archive.insert(Point{kInfinity, -kInfinity}, 4));
  EXPECT_FALSE(archive.insert(Point{kInfinity, 0.0}, 5));
  EXPECT_TRUE(archive.insert(Point{-kInfinity, -kInfinity}, 6));
  EXPECT_EQ(archive.size(), 1U);
}

TEST(Archive, ACopyIsIndependent) {
  Random random(3);
  ParetoArchive archive(3);
  for (std::uint64_t i = 0; i < 500; ++i) archive.insert(random_point(random, 3, 1, 0.0), i);
  ParetoArchive copy = archive;
  expect_equal(archive, copy);
  const std::size_t size = archive.size();
  copy.insert(Point{-1, -1, -1}, 0);
  EXPECT_EQ(copy.size(), 1U);
  EXPECT_EQ(archive.size(), size);
}

TEST(Archive, InsertAllOfPointsThatTheBatchItselfDominates) {
  ParetoArchive archive(2);
  const std::vector<std::uint64_t> ids{1, 2, 3};
  EXPECT_EQ(archive.insert_all(Point{3, 3, 2, 2, 1, 1}, ids), 1U);
  EXPECT_EQ(archive.insert_all(Point{0, 2, 2, 0, 1, 1}, ids), 2U);
  EXPECT_EQ(archive.insert_all({}, {}), 0U);
  EXPECT_EQ(archive.size(), 3U);
}

}  // namespace
}  // namespace lts
