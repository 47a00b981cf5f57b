#include "json_value.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lts/error.hpp"

namespace lts::detail {

namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxShown = 60;

/// "line 3, column 7: unexpected ..." out of the parser's message, without the text it read last.
std::string syntax_problem(std::string_view message) {
  if (const auto at = message.find(" at line "); at != std::string_view::npos) message.remove_prefix(at + 4);
  if (message.starts_with("[json.")) message.remove_prefix(std::min(message.size(), message.find("] ") + 2));
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

/// Builds the value as the parser tells of it.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(Json& root, std::string_view what) : root_(root), what_(what) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }  // does not occur in text
  bool start_object(std::size_t /*size*/) override { return open(Json::object()); }
  bool start_array(std::size_t /*size*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    Json::object_t& object = *open_.back()->get_ptr<Json::object_t*>();
    const auto [at, fresh] = object.emplace(std::move(name), Json());
    if (!fresh) throw_invalid({what_, ": key '", at->first, "' comes twice in one object"});
    next_ = &at->second;
    return true;
  }
  bool parse_error(std::size_t /*position*/, const std::string& /*token*/, const Json::exception& error) override {
    throw_invalid({what_, ": not JSON: ", syntax_problem(error.what())});
  }

 private:
  /// Where the next value goes.
  Json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return *next_;
    return open_.back()->emplace_back();
  }
  template <class T>
  bool add(T&& value) {
    place() = Json(std::forward<T>(value));
    return true;
  }
  bool open(Json&& empty) {
    if (open_.size() >= kMaxDepth) {
      throw_invalid({what_, ": arrays and objects are nested deeper than ", std::to_string(kMaxDepth), " levels"});
    }
    Json& at = place();
    at = std::move(empty);
    open_.push_back(&at);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json& root_;
  std::string_view what_;
  std::vector<Json*> open_;
  Json* next_ = nullptr;
};

/// Empties containers from the inside out, so that only empty ones are destroyed.
void take_apart(Json& value) noexcept {
  if (auto* const array = value.get_ptr<Json::array_t*>()) {
    for (Json& each : *array) take_apart(each);
    array->clear();
  } else if (auto* const object = value.get_ptr<Json::object_t*>()) {
    for (auto& [key, each] : *object) take_apart(each);
    object->clear();
  }
}

}  // namespace

Document::Document(std::string_view text, std::string_view what) {
  try {
    Builder builder(root_, what);
    Json::sax_parse(text, &builder);
  } catch (...) {
    take_apart(root_);
    throw;
  }
}

Document::~Document() { take_apart(root_); }

Writer& Writer::open(char bracket) {
  separate();
  text_ += bracket;
  first_ = true;
  return *this;
}

Writer& Writer::close(char bracket) {
  text_ += bracket;
  first_ = false;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  separate();
  text_.append(1, '"').append(name).append("\":");
  key_ = name;
  first_ = true;
  return *this;
}

void Writer::separate() {
  if (!first_) text_ += ',';
  first_ = false;
}

Writer& Writer::raw(std::string_view text) {
  separate();
  text_ += text;
  return *this;
}

Writer& Writer::value(double number) {
  if (!std::isfinite(number)) {
    throw_invalid({what_, ": ", key_, " is not a finite number, so it cannot be written as JSON"});
  }
  return raw(Json(number).dump());
}

Writer& Writer::value(std::string_view text) {
  try {
    return raw(Json(text).dump());
  } catch (const Json::exception&) {
    throw_invalid({what_, ": a text in it is not UTF-8, so it cannot be written as JSON"});
  }
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

void ObjectReader::require_schema(std::uint64_t expected) const {
  std::uint64_t schema = 0;
  required("schema", schema);
  if (schema == expected) return;
  at("schema").fail("is " + std::to_string(schema) + "; this version reads " + std::to_string(expected));
}

}  // namespace lts::detail
