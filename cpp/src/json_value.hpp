#pragma once

#include <array>
#include <charconv>
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

// Private to the json_*.cpp files: strict reading of JSON values, with errors that say where, and writing of them.
namespace lts::detail {

/// A JSON value. (Not `ordered_json`, which copies its content as it grows.)
using Json = nlohmann::json;

/// A parsed text. Its destructor allocates nothing, unlike that of nlohmann's containers, which would terminate the
/// program when memory runs out.
class Document {
 public:
  /// Parses one JSON value and nothing after it. Linear in the text.
  /// @throws std::invalid_argument naming `what`, with line and column of a syntax error, a key that comes twice, or a
  /// nesting deeper than any of our forms.
  Document(std::string_view text, std::string_view what);
  Document(const Document&) = delete;
  Document(Document&&) = delete;
  Document& operator=(const Document&) = delete;
  Document& operator=(Document&&) = delete;
  ~Document();

  [[nodiscard]] const Json& root() const noexcept { return root_; }

 private:
  Json root_;
};

/// Writes one line of JSON, and adds the commas.
class Writer {
 public:
  /// @param what name of the document in errors
  explicit Writer(std::string_view what) : what_(what) {}

  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);

  Writer& null() { return raw("null"); }
  Writer& value(bool flag) { return raw(flag ? "true" : "false"); }
  /// @throws std::invalid_argument when it is not finite.
  Writer& value(double number);
  /// @throws std::invalid_argument when it is not UTF-8.
  Writer& value(std::string_view text);
  Writer& value(const std::string& text) { return value(std::string_view(text)); }
  Writer& value(const char* text) { return value(std::string_view(text)); }
  template <class Integer>
  requires std::is_integral_v<Integer> Writer& value(Integer number) {
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return raw({digits.data(), static_cast<std::size_t>(end - digits.data())});
  }
  template <class T>
  Writer& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : null();
  }
  template <class A, class B>
  Writer& value(const std::pair<A, B>& pair) {
    return begin_array().value(pair.first).value(pair.second).end_array();
  }
  template <class T>
  Writer& value(const std::vector<T>& list) {
    return range(list);
  }
  template <class T, std::size_t n>
  Writer& value(const std::array<T, n>& list) {
    return range(list);
  }
  /// A value of a type with a `write(Writer&, const T&)`.
  template <class T>
  requires std::is_class_v<T> Writer& value(const T& structure) {
    write(*this, structure);
    return *this;
  }
  template <class T>
  Writer& field(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  template <class Range>
  Writer& range(const Range& list) {
    begin_array();
    for (auto&& each : list) value(static_cast<const typename Range::value_type&>(each));
    return end_array();
  }
  Writer& open(char bracket);
  Writer& close(char bracket);
  Writer& raw(std::string_view text);
  void separate();

  std::string_view what_;
  std::string text_;
  std::string_view key_;  ///< current key, for errors
  bool first_ = true;     ///< whether no comma is needed: first in a container, or after a key
};

/// The place of a value: a chain of names and indices, spelled out only for an error.
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
  /// @throws std::invalid_argument unless the object says that it is of this version.
  void require_schema(std::uint64_t expected) const;

 private:
  const Json& json_;
  const Where& where_;
};

}  // namespace lts::detail
