#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "lts/attainment.hpp"
#include "point_oracle.hpp"

namespace lts {
namespace {

using oracle::kInfinity;
using oracle::kNan;
using oracle::message_of;
using oracle::Points;
using Numbers = std::vector<std::uint64_t>;
using Surfaces = std::vector<Points>;

/// How many of the sets attain (x, y), straight from the definition.
std::uint64_t attained(const Points& points, const Numbers& sets, std::uint64_t n_sets, double x, double y) {
  std::uint64_t count = 0;
  for (std::uint64_t set = 0; set < n_sets; ++set) {
    bool attains = false;
    for (std::size_t i = 0; i < sets.size(); ++i) {
      attains = attains || (sets[i] == set && points[2 * i] <= x && points[2 * i + 1] <= y);
    }
    count += attains ? 1 : 0;
  }
  return count;
}

TEST(Attainment, IsWhatSoManySetsAttain) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t n_sets = 1 + random.below(5);
    const std::size_t n = random.below(25);
    Points points;
    Numbers sets;
    for (std::size_t i = 0; i < n; ++i) {
      points.push_back(random.below(8));
      points.push_back(random.below(8));
      sets.push_back(random.below(static_cast<std::uint32_t>(n_sets)));
    }
    Numbers levels;
    for (std::uint64_t level = 1; level <= n_sets; ++level) levels.push_back(level);
    const Surfaces surfaces = attainment_surfaces(points, sets, n_sets, levels);
    for (std::uint64_t level = 1; level <= n_sets; ++level) {
      const Points& surface = surfaces[level - 1];
      for (std::size_t i = 2; i < surface.size(); i += 2) {  // no point covers another
        ASSERT_LT(surface[i - 2], surface[i]);
        ASSERT_GT(surface[i - 1], surface[i + 1]);
      }
      for (double x = 0; x < 8; ++x) {
        for (double y = 0; y < 8; ++y) {
          ASSERT_EQ(attained(surface, Numbers(surface.size() / 2, 0), 1, x, y) == 1,
                    attained(points, sets, n_sets, x, y) >= level);
        }
      }
    }
  }
}

TEST(Attainment, Examples) {
  EXPECT_EQ(attainment_surfaces(Points{1, 3, 3, 1, 2, 2}, Numbers{0, 0, 1}, 2, Numbers{1, 2}),
            (Surfaces{{1, 3, 2, 2, 3, 1}, {2, 3, 3, 2}}));
  EXPECT_EQ(attainment_surfaces(Points{1, 3}, Numbers{1}, 3, Numbers{2, 1}), (Surfaces{{}, {1, 3}}));  // empty sets
  EXPECT_EQ(attainment_surfaces({}, {}, 0, {}), Surfaces{});
  EXPECT_EQ(attainment_surfaces(Points{kInfinity, 0, 3, -kInfinity, 1, 1}, Numbers{0, 0, 1}, 2, Numbers{1, 2}),
            (Surfaces{{1, 1, 3, -kInfinity}, {3, 1}}));
}

TEST(Attainment, RefusesWhatDoesNotFit) {
  EXPECT_EQ(message_of([] {
              attainment_surfaces(Points{1, 2}, {}, 1, Numbers{1});
            }),
            "sets: 0 numbers for 1 points; each point needs the number of its set");
  EXPECT_EQ(message_of([] {
              attainment_surfaces(Points{1, 2}, Numbers{1}, 1, Numbers{1});
            }),
            "sets: 1 is no set; there are 1, from 0");
  for (const std::uint64_t level : Numbers{0, 2}) {
    EXPECT_EQ(message_of([&] {
                attainment_surfaces(Points{1, 2}, Numbers{0}, 1, Numbers{level});
              }),
              "levels: " + std::to_string(level) + " is out of range; a level is from 1 to the number of sets, 1");
  }
  EXPECT_NE(message_of([] { attainment_surfaces(Points{1, kNan}, Numbers{0}, 1, Numbers{1}); }), "");
  EXPECT_NE(message_of([] { attainment_surfaces(Points{1, 2, 3}, Numbers{0}, 1, Numbers{1}); }), "");
}

}  // namespace
}  // namespace lts
