#include "fields.hpp"

#include <algorithm>

#include "error.hpp"

namespace lts::runner {

namespace {

constexpr std::size_t kMaxShown = 60;

std::string shown(const Json& value) {
  if (value.is_array()) return "an array";
  if (value.is_object()) return "an object";
  const std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "...";
}

/// Reads an integer within the bounds, however it is written.
bool read_integer(const Json& json, std::int64_t min, std::int64_t max, std::int64_t& out) {
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) return false;
  if (!json.is_number_integer()) return false;
  out = json.get<std::int64_t>();
  return out >= min && out <= max;
}

std::string bounds(std::string_view what, std::string min, std::string max) {
  return std::string(what) + " from " + std::move(min) + " to " + std::move(max);
}

std::string plain(double value) {
  std::string text = std::to_string(value);
  text.erase(std::min(text.size(), text.find_last_not_of('0') + 1));
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while ..."
    std::string_view message = error.what();
    if (const auto at = message.find(" at line "); at != std::string_view::npos) message.remove_prefix(at + 1);
    fail({what, " is not JSON: ", one_line(message)});
  }
}

Fields::Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
  if (!json_.is_object()) fail({where_, " must be a JSON object, not ", shown(json_)});
}

void Fields::allow(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : json_.items()) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    std::string known;
    for (const auto name : keys) known.append(known.empty() ? "" : ", ").append(name);
    fail({where_, " has the key '", one_line(key), "'; expected some of ", known});
  }
}

const Json& Fields::at(std::string_view key) const {
  const auto found = json_.find(key);
  if (found == json_.end()) fail({where_, " has no '", key, "'"});
  return *found;
}

std::string Fields::text(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_string()) refuse(key, "a text");
  const auto& text = value.get_ref<const std::string&>();
  if (text.find('\0') != std::string::npos) refuse(key, "a text without NUL");
  return text;
}

bool Fields::boolean(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_boolean()) refuse(key, "true or false");
  return value.get<bool>();
}

std::int64_t Fields::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  std::int64_t result = 0;
  if (!read_integer(at(key), min, max, result)) {
    refuse(key, bounds("an integer", std::to_string(min), std::to_string(max)));
  }
  return result;
}

double Fields::number(std::string_view key, double min, double max) const {
  const Json& value = at(key);
  if (!value.is_number() || !(value.get<double>() >= min && value.get<double>() <= max)) {
    refuse(key, bounds("a number", plain(min), plain(max)));
  }
  return value.get<double>();
}

std::vector<std::int64_t> Fields::integers(std::string_view key, std::int64_t min, std::int64_t max) const {
  std::vector<std::int64_t> result;
  for (const Json& value : array(key)) {
    if (!read_integer(value, min, max, result.emplace_back())) {
      refuse(key, bounds("an array of integers", std::to_string(min), std::to_string(max)));
    }
  }
  return result;
}

std::vector<std::string> Fields::texts(std::string_view key) const {
  std::vector<std::string> result;
  for (const Json& value : array(key)) {
    if (!value.is_string()) refuse(key, "an array of texts");
    result.push_back(value.get<std::string>());
  }
  return result;
}

const Json& Fields::array(std::string_view key) const {
  const Json& value = at(key);
  if (!value.is_array()) refuse(key, "an array");
  return value;
}

void Fields::refuse(std::string_view key, std::string_view expected) const {
  fail({where_, ": '", key, "' must be ", expected, ", not ", shown(at(key))});
}

}  // namespace lts::runner
