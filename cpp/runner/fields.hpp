#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

// Strict reading of JSON objects, with errors that say what and where.
namespace lts::runner {

using Json = nlohmann::json;

/// Parses one JSON value and nothing after it. @throws Error "WHAT is not JSON: ...".
Json parse_json(std::string_view text, std::string_view what);

/// Reads the fields of an object; `where` names the object in errors.
class Fields {
 public:
  /// @throws Error unless the value is an object.
  Fields(const Json& json, std::string where);
  /// @throws Error when it has a key that is not among these.
  void allow(std::initializer_list<std::string_view> keys) const;
  [[nodiscard]] bool has(std::string_view key) const { return json_.contains(key); }

  // All of them throw Error when the key is left out, or its value is of another type or out of bounds.
  [[nodiscard]] const Json& at(std::string_view key) const;
  [[nodiscard]] std::string text(std::string_view key) const;
  [[nodiscard]] bool boolean(std::string_view key) const;
  [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  [[nodiscard]] double number(std::string_view key, double min, double max) const;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key, std::int64_t min, std::int64_t max) const;
  [[nodiscard]] std::vector<std::string> texts(std::string_view key) const;
  /// An array, each of whose entries is to be read by the caller.
  [[nodiscard]] const Json& array(std::string_view key) const;

  /// @throws Error "WHERE: 'key' must be EXPECTED, not VALUE".
  [[noreturn]] void refuse(std::string_view key, std::string_view expected) const;

 private:
  const Json& json_;
  std::string where_;
};

}  // namespace lts::runner
