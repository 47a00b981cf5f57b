#include "json_value.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "lts/error.hpp"

namespace lts::detail {

namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxKeys = 256;
constexpr std::size_t kMaxShown = 60;

/// "line 3, column 7: unexpected ..." out of the parser's message, without the text it read last.
std::string syntax_problem(std::string_view message) {
  if (const auto at = message.find(" at line "); at != std::string_view::npos) message.remove_prefix(at + 4);
  std::string result(message);
  if (const auto begin = result.find("; last read: '"); begin != std::string::npos) {
    const auto end = result.rfind("'; expected ");
    result.erase(begin, end == std::string::npos ? std::string::npos : end + 1 - begin);
  }
  return result;
}

std::string shown(const Json& value) {
  if (value.is_array()) return "an array";
  if (value.is_object()) return "an object";
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMaxShown) {
    text.resize(kMaxShown);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0U) == 0x80U) text.pop_back();
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0U) text.pop_back();
    text += "...";
  }
  return text;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        keys.emplace_back();
        [[fallthrough]];
      case Json::parse_event_t::array_start:
        if (depth >= kMaxDepth) {
          throw_invalid({what, ": arrays and objects are nested deeper than ", std::to_string(kMaxDepth), " levels"});
        }
        break;
      case Json::parse_event_t::object_end:
        keys.pop_back();
        break;
      case Json::parse_event_t::key:
        if (const auto [at, fresh] = keys.back().insert(parsed.get_ref<const std::string&>()); !fresh) {
          throw_invalid({what, ": key '", *at, "' comes twice in one object"});
        }
        if (keys.back().size() > kMaxKeys) {
          throw_invalid({what, ": an object has more than ", std::to_string(kMaxKeys), " keys"});
        }
        break;
      default:
        break;
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    throw_invalid({what, ": not JSON: ", syntax_problem(error.what())});
  }
}

std::string dump_json(const Json& value, std::string_view what) {
  try {
    return value.dump();
  } catch (const Json::exception&) {
    throw_invalid({what, ": a text in it is not UTF-8, so it cannot be written as JSON"});
  }
}

double finite(double value, std::string_view name) {
  if (!std::isfinite(value)) throw_invalid({name, " is not a finite number, so it cannot be written as JSON"});
  return value;
}

std::string Where::path() const {
  if (name.empty()) return (parent ? parent->path() : "") + "[" + std::to_string(index) + "]";
  if (parent == nullptr) return std::string(name);
  return parent->path() + (parent->parent == nullptr ? ": " : ".") + std::string(name);
}

void Where::refuse(std::string_view expected, const Json& value) const {
  throw_invalid({path(), " must be ", expected, ", not ", shown(value)});
}

void Where::fail(std::string_view problem) const { throw_invalid({path(), " ", problem}); }

std::int64_t read_integer(const Json& json, const Where& where) {
  constexpr auto max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  const bool huge = json.is_number_float() && std::abs(json.get<double>()) >= 0x1.0p63;
  if (huge || (json.is_number_unsigned() && json.get<std::uint64_t>() > max)) {
    where.refuse("an integer of 64 bits", json);
  }
  if (!json.is_number_integer()) where.refuse("an integer", json);
  return json.get<std::int64_t>();
}

std::uint64_t read_unsigned(const Json& json, const Where& where, std::uint64_t max) {
  if (!json.is_number_unsigned() || json.get<std::uint64_t>() > max) {
    where.refuse("an integer from 0 to " + std::to_string(max), json);
  }
  return json.get<std::uint64_t>();
}

void read(const Json& json, const Where& where, bool& out) {
  if (!json.is_boolean()) where.refuse("true or false", json);
  out = json.get<bool>();
}

void read(const Json& json, const Where& where, double& out) {
  if (!json.is_number()) where.refuse("a number", json);
  out = json.get<double>();
}

void read(const Json& json, const Where& where, std::string& out) {
  if (!json.is_string()) where.refuse("a string", json);
  out = json.get_ref<const std::string&>();
}

void read(const Json& json, const Where& where, Bounds& out) {
  const ObjectReader object(json, where, {"min", "max"});
  object.optional("min", out.min);
  object.optional("max", out.max);
}

void check_array(const Json& json, const Where& where, std::optional<std::size_t> size) {
  if (!json.is_array()) where.refuse("an array", json);
  if (size && json.size() != *size) {
    where.fail("has " + std::to_string(json.size()) + " entries; it must have " + std::to_string(*size));
  }
}

ObjectReader::ObjectReader(const Json& json, const Where& where, std::span<const std::string_view> allowed)
    : json_(json), where_(where) {
  if (!json.is_object()) where.refuse("an object", json);
  for (const auto& [key, value] : json.items()) {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    std::string known;
    for (const std::string_view name : allowed) known.append(known.empty() ? "" : ", ").append(name);
    throw_invalid({where.path(), ": unknown key '", key, "'; allowed: ", known});
  }
}

const Json* ObjectReader::find(std::string_view key) const {
  const auto at = json_.find(key);
  return at == json_.end() ? nullptr : &*at;
}

const Json& ObjectReader::require(std::string_view key) const {
  if (const Json* value = find(key)) return *value;
  throw_invalid({at(key).path(), " is missing"});
}

}  // namespace lts::detail
