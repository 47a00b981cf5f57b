#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lts {

enum class Direction : std::uint8_t { minimize, maximize };

/// A column that is optimized.
struct Objective {
  std::string name;
  Direction direction = Direction::minimize;
  friend bool operator==(const Objective&, const Objective&) = default;
};

/// A bound on a column: value <= bound, or value >= bound.
struct Constraint {
  enum class Relation : std::uint8_t { at_most, at_least };
  std::string name;
  Relation relation = Relation::at_most;
  double bound = 0.0;
  friend bool operator==(const Constraint&, const Constraint&) = default;
};

/// From `NAME:min` or `NAME:max`; spaces around the parts are allowed, a name has none and none of `:<>=`.
/// @throws std::invalid_argument showing the expected form.
Objective parse_objective(std::string_view text);

/// From `NAME<=NUMBER` or `NAME>=NUMBER`; spaces and names as for objectives; the number is decimal and finite.
/// @throws std::invalid_argument showing the expected form.
Constraint parse_constraint(std::string_view text);

/// Text that `parse_objective` and `parse_constraint` read back as the same; the bound in its shortest such form.
std::string to_string(const Objective& objective);
std::string to_string(const Constraint& constraint);

/// The value, negated if the objective is maximized, so that less is better.
constexpr double minimized(const Objective& objective, double value) noexcept {
  return objective.direction == Direction::maximize ? -value : value;
}

/// How far the value is beyond the bound, relative to max(1, |bound|); 0 exactly when the constraint holds, infinite
/// for NaN.
double violation(const Constraint& constraint, double value) noexcept;

/// The columns that a search needs values for, each once: those of the objectives, then those that only constraints
/// name.
std::vector<std::string> columns_of(std::span<const Objective> objectives, std::span<const Constraint> constraints);

}  // namespace lts
