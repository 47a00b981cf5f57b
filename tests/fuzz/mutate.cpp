// Mutations that keep JSON what it is: changed bytes hardly ever pass the parser, and a state whose counts do not agree
// is refused before anything interesting happens.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "lts/encoding.hpp"
#include "lts/json.hpp"
#include "lts/random.hpp"
#include "lts/variation.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

using Json = nlohmann::ordered_json;
using lts::Random;

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): given once, at the start
std::vector<std::string> words;  // of the dictionary

std::uint32_t below(Random& random, std::size_t n) { return random.below(static_cast<std::uint32_t>(n)); }

struct Place {
  Json* value;
  Json* parent;
};

void collect(Json& value, Json* parent, std::vector<Place>& places) {
  places.push_back({&value, parent});
  for (Json& child : value) {
    if (value.is_structured()) collect(child, &value, places);
  }
}

/// Picks a value of the whole, or of those below a random key, so that large arrays do not get all the attention.
Place pick(Json& root, Random& random) {
  Json* from = &root;
  Json* parent = nullptr;
  while (from->is_structured() && !from->empty() && random.bernoulli(0.7)) {
    parent = from;
    from = &*std::next(from->begin(), below(random, from->size()));
  }
  if (random.bernoulli(0.5)) return {from, parent};
  std::vector<Place> places;
  collect(*from, parent, places);
  return places[below(random, places.size())];
}

std::string word(Random& random) { return words.empty() ? "x" : words[below(random, words.size())]; }

Json number(Random& random) {
  static const std::vector<Json> telling{0,
                                         1,
                                         -1,
                                         2,
                                         64,
                                         128,
                                         4096,
                                         4097,
                                         65535,
                                         65536,
                                         1 << 20,
                                         (1 << 20) + 1,
                                         1 << 30,
                                         0.5,
                                         -0.0,
                                         1e-300,
                                         5e-324,
                                         1.7e308,
                                         -1e308,
                                         0.999,
                                         1.001,
                                         std::int64_t{1} << 31,
                                         std::numeric_limits<std::int64_t>::max(),
                                         std::numeric_limits<std::int64_t>::min(),
                                         std::numeric_limits<std::uint64_t>::max()};
  if (random.bernoulli(0.5)) return telling[below(random, telling.size())];
  return below(random, std::size_t{1} << (1 + below(random, 16)));
}

void tweak_integer(Json& value, Random& random) {
  auto bits =
      value.is_number_unsigned() ? value.get<std::uint64_t>() : static_cast<std::uint64_t>(value.get<std::int64_t>());
  switch (random.below(5)) {
    case 0:
      bits += 1;
      break;
    case 1:
      bits -= 1;
      break;
    case 2:
      bits *= 2;
      break;
    case 3:
      bits /= 2;
      break;
    default:
      bits ^= std::uint64_t{1} << below(random, 64);
  }
  if (bits >> 63U != 0 && !value.is_number_unsigned()) {
    value = static_cast<std::int64_t>(bits);
  } else {
    value = bits;
  }
}

void tweak(Json& value, Random& random) {
  if (value.is_boolean()) {
    value = !value.get<bool>();
  } else if (value.is_number_integer() && random.bernoulli(0.6)) {
    tweak_integer(value, random);
  } else if (value.is_number_float() && random.bernoulli(0.6)) {
    const double x = value.get<double>() * (random.uniform() * 4 - 1);
    value = std::isfinite(x) ? x : 1.0;
  } else if (value.is_number()) {
    value = number(random);
  } else if (value.is_string() && random.bernoulli(0.5)) {
    value = word(random);
  } else if (value.is_string()) {
    std::string text = value.get<std::string>();
    const std::size_t size = text.size();
    text.resize(size + 16);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
    value = text;
  }
}

void mutate_array(Json& array, Json& root, Random& random) {
  const std::size_t n = array.size();
  const std::size_t at = below(random, std::max<std::size_t>(1, n));
  switch (random.below(7)) {
    case 0:
      if (n > 0) array.erase(at);
      break;
    case 1:
      if (n > 0) {
        Json copy = array[at];
        tweak(copy, random);
        array.insert(array.begin() + static_cast<std::ptrdiff_t>(below(random, n + 1)), std::move(copy));
      }
      break;
    case 2:
      if (n > 0) std::swap(array[at], array[below(random, n)]);
      break;
    case 3:
      if (n > 1) array.erase(array.begin() + static_cast<std::ptrdiff_t>(1 + below(random, n - 1)), array.end());
      break;
    case 4:
      array.push_back(*pick(root, random).value);
      break;
    case 5:
      for (std::uint32_t i = 0, end = 1 + random.below(8); i < end; ++i) array.push_back(number(random));
      break;
    default: {  // a range
      const std::int64_t first = random.below(300);
      const std::int64_t step = 1 + random.below(random.bernoulli(0.5) ? 4 : 128);
      array = Json::array();
      for (std::int64_t i = 0, end = 1 + random.below(random.bernoulli(0.9) ? 6 : 300); i < end; ++i) {
        array.push_back(first + i * step);
      }
    }
  }
}

void mutate_object(Json& object, Json& root, Random& random) {
  const std::size_t n = object.size();
  const auto at = std::next(object.begin(), below(random, std::max<std::size_t>(1, n)));
  switch (random.below(3)) {
    case 0:
      if (n > 0) object.erase(at);
      break;
    case 1: {
      Json copy = *pick(root, random).value;
      object[word(random)] = std::move(copy);
      break;
    }
    default:
      if (n > 0) std::swap(*at, *std::next(object.begin(), below(random, n)));
  }
}

void mutate(Json& root, Random& random) {
  const Place place = pick(root, random);
  if (random.bernoulli(0.12)) {  // something else altogether
    const std::vector<Json> others{nullptr,
                                   true,
                                   word(random),
                                   number(random),
                                   Json::array(),
                                   Json::object(),
                                   Json::array({*place.value}),
                                   *pick(root, random).value};
    *place.value = others[below(random, others.size())];
  } else if (place.value->is_array()) {
    mutate_array(*place.value, root, random);
  } else if (place.value->is_object()) {
    mutate_object(*place.value, root, random);
  } else {
    tweak(*place.value, random);
  }
}

/// Large spaces are right, but slow: most are to be small.
void make_small(Json& root, Random& random) {
  if (!root.is_object()) return;
  Json& space = root.contains("space") ? root["space"] : root;
  if (!space.is_object() || !space.contains("n_layer") || !space["n_layer"].is_array()) return;
  if (random.bernoulli(0.02)) return;
  for (Json& value : space) {
    if (value.is_array() && value.size() > 5) value.erase(value.begin() + 5, value.end());
  }
  for (Json& depth : space["n_layer"]) {
    if (depth.is_number_unsigned() && depth.get<std::uint64_t>() > 6) depth = depth.get<std::uint64_t>() % 7;
  }
}

// --- States of searches ---

/// The elements of an array; none of what is no array.
Json& elements(Json& object, const char* key) {
  Json& value = object.at(key);
  if (!value.is_array()) value = Json::array();
  return value;
}

/// Calls `visit(genotype)` for every array of genes that a state has.
template <class Visit>
void visit_genotypes(Json& state, const Visit& visit) {
  for (Json& pending : elements(state, "pending")) visit(pending.at(1));
  for (Json& member : elements(state, "front")) visit(member.at("genotype"));
  Json& algorithm = state.at("algorithm");
  for (Json& queued : elements(algorithm, "queue")) visit(queued);
  for (const char* const key : {"population", "offspring"}) {
    for (Json& member : elements(algorithm, key)) visit(member.at("genotype"));
  }
}

/// What are no genes counts as 0.
lts::Genotype genotype_of(const Json& genes) {
  lts::Genotype genotype;
  for (const Json& gene : genes) {
    const bool fits = gene.is_number_unsigned() && gene.get<std::uint64_t>() <= 0xFFFFU;
    genotype.push_back(fits ? gene.get<std::uint16_t>() : std::uint16_t{0});
  }
  return genotype;
}

/// Has the genotypes fit a space that may have changed.
void fit_genotypes(Json& state, Random& random) {
  const lts::SearchSpace space(lts::search_space_from_json(state.at("space").dump()));
  const lts::Encoding encoding(space);
  visit_genotypes(state, [&](Json& genes) {
    auto genotype = genotype_of(genes);
    bool fits = genotype.size() == encoding.size();
    for (std::size_t g = 0; fits && g < genotype.size(); ++g) fits = genotype[g] < encoding.genes()[g].n_choices;
    if (!fits || !encoding.repair(genotype, random)) genes = lts::random_genotype(encoding, random);
  });
}

/// Has the counts and hashes of a state agree with what it holds, so that it is accepted if nothing else is wrong.
void agree(Json& state, Random& random) {
  std::set<std::uint64_t> seen;
  visit_genotypes(state, [&seen](Json& genes) {
    const std::uint64_t hash = lts::hash_of(genotype_of(genes));
    seen.insert(hash == 0 ? 1 : hash);
  });
  const auto count = [](const Json& value) {
    return value.is_number_unsigned() ? std::min<std::uint64_t>(value.get<std::uint64_t>(), 64) : 0;
  };
  std::uint64_t n_told = count(state.at("n_told"));
  const std::uint64_t n_failed = count(state.at("n_failed"));
  const std::size_t n_pending = state.at("pending").size();
  const std::size_t n_queued = state.at("algorithm").at("queue").size();
  n_told = std::max<std::uint64_t>(n_told, state.at("front").size());
  const auto n_asked = [&] { return n_told + n_failed + n_pending; };
  while (seen.size() > n_asked() + n_queued) ++n_told;
  while (seen.size() < n_asked() + n_queued) seen.insert(random.next() | 1U);
  std::uint64_t id = 0;
  for (Json& pending : state["pending"]) {
    id = std::max(id, std::min(count(pending.at(0)), n_asked() - 1));
    pending[0] = id++;
  }
  state["n_told"] = n_told;
  state["n_failed"] = n_failed;
  state["next_id"] = n_asked();
  state["seen"] = seen;
}

void mend_state(Json& state, Random& random) {
  try {
    if (random.bernoulli(0.5)) fit_genotypes(state, random);
    agree(state, random);
  } catch (const Json::exception&) {
    return;  // what is no state any more stays as it is
  } catch (const std::invalid_argument&) {
    return;
  }
}

/// The text up to the first line's end as JSON, and the rest.
struct Input {
  Json json;
  std::string rest;
};

bool parse(const std::uint8_t* data, std::size_t size, Input& input) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  input.json = Json::parse(text, nullptr, false);
  if (!input.json.is_discarded()) return true;
  const std::size_t end = std::min(text.find('\n'), text.size());
  input.rest = text.substr(end);
  input.json = Json::parse(text.substr(0, end), nullptr, false);
  return !input.json.is_discarded();
}

/// 0 when there is no room.
std::size_t write(const Input& input, std::uint8_t* data, std::size_t max_size) {
  const std::string text = input.json.dump(-1, ' ', false, Json::error_handler_t::ignore) + input.rest;
  if (text.empty() || text.size() > max_size) return 0;
  std::memcpy(data, text.data(), text.size());
  return text.size();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view option = "-dict=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument = (*argv)[i];
    if (argument.substr(0, option.size()) != option) continue;
    std::ifstream file{std::string(argument.substr(option.size()))};
    for (std::string line; std::getline(file, line);) {
      if (line.size() > 2 && line.front() == '"') words.push_back(line.substr(1, line.size() - 2));
    }
  }
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                               unsigned int seed) {
  Random random(seed);
  Input input;
  if (random.bernoulli(0.1) || !parse(data, size, input)) return LLVMFuzzerMutate(data, size, max_size);
  if (!input.rest.empty() && random.bernoulli(0.5)) {
    const std::size_t begin = size - input.rest.size();
    return begin + LLVMFuzzerMutate(data + begin, input.rest.size(), max_size - begin);
  }
  for (std::uint32_t i = 0, n = 1 + random.below(3); i < n; ++i) mutate(input.json, random);
  make_small(input.json, random);
  if (input.json.is_object() && input.json.contains("seen") && random.bernoulli(0.8)) mend_state(input.json, random);
  const std::size_t written = write(input, data, max_size);
  return written > 0 ? written : LLVMFuzzerMutate(data, size, max_size);
}

extern "C" std::size_t LLVMFuzzerCustomCrossOver(const std::uint8_t* data1, std::size_t size1,
                                                 const std::uint8_t* data2, std::size_t size2, std::uint8_t* out,
                                                 std::size_t max_size, unsigned int seed) {
  Random random(seed);
  Input a;
  Input b;
  if (!parse(data1, size1, a) || !parse(data2, size2, b)) return 0;
  Json& to = *pick(a.json, random).value;
  Json& from = *pick(b.json, random).value;
  if (a.json.is_object() && b.json.is_object() && random.bernoulli(0.7)) {
    for (auto& [key, value] : a.json.items()) {
      if (b.json.contains(key) && random.bernoulli(0.3)) value = b.json[key];
    }
  } else {
    to = Json(from);
  }
  make_small(a.json, random);
  if (a.json.is_object() && a.json.contains("seen")) mend_state(a.json, random);
  return write(a, out, max_size);
}
