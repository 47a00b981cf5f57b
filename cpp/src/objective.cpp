#include "lts/objective.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "lts/error.hpp"

namespace lts {

namespace {

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view kSpaces = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

/// A column's name has none of the characters that the two forms are made of.
bool is_name(std::string_view name) noexcept {
  return !name.empty() && is_printable(name) && name.find_first_of(" :<>=") == std::string_view::npos;
}

[[noreturn]] void refuse_objective(std::string_view text) {
  throw_invalid({"objective '", text, "': expected NAME:min or NAME:max, such as latency_ms:min"});
}

[[noreturn]] void refuse_constraint(std::string_view text) {
  throw_invalid({"constraint '", text, "': expected NAME<=NUMBER or NAME>=NUMBER, such as latency_ms<=10"});
}

}  // namespace

Objective parse_objective(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse_objective(text);
  const std::string_view name = trimmed(text.substr(0, colon));
  const std::string_view direction = trimmed(text.substr(colon + 1));
  if (!is_name(name) || (direction != "min" && direction != "max")) refuse_objective(text);
  return {std::string(name), direction == "min" ? Direction::minimize : Direction::maximize};
}

Constraint parse_constraint(std::string_view text) {
  const std::size_t sign = text.find_first_of("<>");
  if (sign == std::string_view::npos || text.substr(sign + 1, 1) != "=") refuse_constraint(text);
  const std::string_view name = trimmed(text.substr(0, sign));
  const std::string_view number = trimmed(text.substr(sign + 2));
  double bound = 0.0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), bound);
  const bool is_number = error == std::errc{} && end == number.data() + number.size() && std::isfinite(bound);
  if (!is_name(name) || !is_number) refuse_constraint(text);
  return {std::string(name), text[sign] == '<' ? Constraint::Relation::at_most : Constraint::Relation::at_least, bound};
}

std::string to_string(const Objective& objective) {
  return objective.name + (objective.direction == Direction::minimize ? ":min" : ":max");
}

std::string to_string(const Constraint& constraint) {
  std::array<char, 32> digits{};  // the shortest form that reads back as the same number has at most 24
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), constraint.bound);
  return constraint.name + (constraint.relation == Constraint::Relation::at_most ? "<=" : ">=") +
         std::string(digits.data(), end);
}

double violation(const Constraint& constraint, double value) noexcept {
  const bool at_most = constraint.relation == Constraint::Relation::at_most;
  if (at_most ? value <= constraint.bound : value >= constraint.bound) return 0.0;
  const double scale = std::max(1.0, std::abs(constraint.bound));
  const double beyond = at_most ? value - constraint.bound : constraint.bound - value;
  const double relative = std::isfinite(beyond) ? beyond / scale : std::abs(value / scale - constraint.bound / scale);
  return std::isnan(relative) ? std::numeric_limits<double>::infinity() : relative;
}

std::vector<std::string> columns_of(std::span<const Objective> objectives, std::span<const Constraint> constraints) {
  std::vector<std::string> columns;
  const auto add = [&](const std::string& name) {
    if (std::find(columns.begin(), columns.end(), name) == columns.end()) columns.push_back(name);
  };
  for (const Objective& objective : objectives) add(objective.name);
  for (const Constraint& constraint : constraints) add(constraint.name);
  return columns;
}

}  // namespace lts
