#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lts/search_space.hpp"

// Private to the json_*.cpp files: strict reading of JSON values, with errors that say where.
namespace lts::detail {

/// Keys keep their order when it is written. It searches them one by one, so `parse_json` allows but a few.
using Json = nlohmann::ordered_json;

/// Parses one JSON value and nothing after it. Linear in the text.
/// @throws std::invalid_argument naming `what`, with line and column of a syntax error, the key that comes twice, or the
/// depth or number of keys that nothing of ours has.
Json parse_json(std::string_view text, std::string_view what);

/// The text of a value in one line. @throws std::invalid_argument naming `what` when a text is not UTF-8.
std::string dump_json(const Json& value, std::string_view what);

/// The number, which JSON must be able to hold. @throws std::invalid_argument when it is not finite.
double finite(double value, std::string_view name);

/// Where a value is: a chain of names and indices, spelled out only for an error.
struct Where {
  const Where* parent = nullptr;
  std::string_view name;
  std::size_t index = 0;  ///< used when the name is empty

  [[nodiscard]] std::string path() const;
  /// @throws std::invalid_argument: "PATH must be EXPECTED, not VALUE".
  [[noreturn]] void refuse(std::string_view expected, const Json& value) const;
  /// @throws std::invalid_argument: "PATH PROBLEM".
  [[noreturn]] void fail(std::string_view problem) const;
};

std::int64_t read_integer(const Json& json, const Where& where);
std::uint64_t read_unsigned(const Json& json, const Where& where, std::uint64_t max);

inline void read(const Json& json, const Where& where, std::int64_t& out) { out = read_integer(json, where); }
template <class Unsigned>
requires std::is_unsigned_v<Unsigned>
void read(const Json& json, const Where& where, Unsigned& out) {
  out = static_cast<Unsigned>(read_unsigned(json, where, static_cast<Unsigned>(-1)));
}
void read(const Json& json, const Where& where, bool& out);
void read(const Json& json, const Where& where, double& out);
void read(const Json& json, const Where& where, std::string& out);
void read(const Json& json, const Where& where, Bounds& out);

template <class T>
void read(const Json& json, const Where& where, std::optional<T>& out) {
  if (json.is_null()) {
    out.reset();
  } else {
    read(json, where, out.emplace());
  }
}

/// @throws std::invalid_argument unless the value is an array (of `size` entries, when that is given).
void check_array(const Json& json, const Where& where, std::optional<std::size_t> size = {});

template <class T>
void read(const Json& json, const Where& where, std::vector<T>& out) {
  check_array(json, where);
  out.clear();
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    T value{};
    read(json[i], Where{.parent = &where, .name = {}, .index = i}, value);
    out.push_back(std::move(value));
  }
}

template <class A, class B>
void read(const Json& json, const Where& where, std::pair<A, B>& out) {
  check_array(json, where, 2);
  read(json[0], Where{.parent = &where, .name = {}, .index = 0}, out.first);
  read(json[1], Where{.parent = &where, .name = {}, .index = 1}, out.second);
}

template <class T, std::size_t n>
void read(const Json& json, const Where& where, std::array<T, n>& out) {
  check_array(json, where, n);
  for (std::size_t i = 0; i < n; ++i) read(json[i], Where{.parent = &where, .name = {}, .index = i}, out[i]);
}

/// Reads the fields of an object.
class ObjectReader {
 public:
  /// @throws std::invalid_argument unless the value is an object whose keys are all among `allowed`.
  ObjectReader(const Json& json, const Where& where, std::span<const std::string_view> allowed);
  ObjectReader(const Json& json, const Where& where, std::initializer_list<std::string_view> allowed)
      : ObjectReader(json, where, std::span(allowed.begin(), allowed.size())) {}

  /// The value of the key; null when it is left out.
  [[nodiscard]] const Json* find(std::string_view key) const;
  [[nodiscard]] Where at(std::string_view key) const { return {.parent = &where_, .name = key}; }

  /// Leaves `out` as it is when the key is left out.
  template <class T>
  void optional(std::string_view key, T& out) const {
    if (const Json* value = find(key)) read(*value, at(key), out);
  }
  /// @throws std::invalid_argument when the key is left out.
  template <class T>
  void required(std::string_view key, T& out) const {
    read(require(key), at(key), out);
  }
  [[nodiscard]] const Json& require(std::string_view key) const;

 private:
  const Json& json_;
  const Where& where_;
};

}  // namespace lts::detail
