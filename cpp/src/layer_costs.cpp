#include "lts/layer_costs.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "lts/error.hpp"

namespace lts {

namespace {

constexpr int kBits = 21;  // of a width
static_assert(max_width < std::int64_t{1} << kBits && 3 * kBits < 64);

/// Packs widths, the first of them not 0, into one number; an impossible width gives a number that no valid key has.
constexpr std::uint64_t key_of(std::int64_t a, std::int64_t b, std::int64_t c = 0) noexcept {
  const auto bits = [](std::int64_t width) { return static_cast<std::uint64_t>(width); };
  if ((bits(a | b | c) >> kBits) != 0) return ~std::uint64_t{0};
  return bits(a) << (2 * kBits) | bits(b) << kBits | bits(c);
}

// The key of a row.
std::uint64_t key_of(const LayerCosts::Attention& row) { return key_of(row.d_model, row.n_head, row.n_kv_head); }
std::uint64_t key_of(const LayerCosts::FeedForward& row) { return key_of(row.d_model, row.d_ff); }
std::uint64_t key_of(const LayerCosts::Rest& row) {
  return key_of(row.d_model, row.d_embed == -1 ? row.d_model : row.d_embed, row.div_val);
}

struct Width {
  std::string_view name;
  std::int64_t value = 1;
};
using Widths = std::array<Width, 3>;  // the last may have no name

Widths widths_of(const LayerCosts::Attention& row) {
  return {{{"d_model", row.d_model}, {"n_head", row.n_head}, {"n_kv_head", row.n_kv_head}}};
}
Widths widths_of(const LayerCosts::FeedForward& row) { return {{{"d_model", row.d_model}, {"d_ff", row.d_ff}, {}}}; }
Widths widths_of(const LayerCosts::Rest& row) {
  return {{{"d_model", row.d_model}, {"d_embed", row.d_embed}, {"div_val", row.div_val}}};
}

std::string text_of(const Widths& widths) {
  std::string text;
  for (const Width& width : widths) {
    if (width.name.empty()) continue;
    text.append(text.empty() ? "" : ", ").append(width.name).append(" ").append(std::to_string(width.value));
  }
  return text;
}

template <class Row>
void check_row(const std::string& where, const Row& row) {
  for (const Width& width : widths_of(row)) {
    if (width.value >= 1 && width.value <= max_width) continue;
    if (width.value == -1 && width.name == "d_embed") continue;
    throw_invalid({where, ": ", width.name, " is ", std::to_string(width.value), "; it must be from 1 to ",
                   std::to_string(max_width)});
  }
  if (std::isfinite(row.value) && row.value >= 0) return;
  throw_invalid({where, ": ", text_of(widths_of(row)), ": the amount is ", to_text(row.value),
                 "; it must be finite and not negative"});
}

}  // namespace

LayerCosts::Lookup::Lookup(std::size_t n_keys)
    : slots_(std::bit_ceil(2 * n_keys)), shift_(64 - std::countr_zero(slots_.size())) {}

bool LayerCosts::Lookup::insert(std::uint64_t key, double value) {
  std::size_t i = home(key);
  for (; slots_[i].key != 0; i = (i + 1) & (slots_.size() - 1)) {
    if (slots_[i].key == key) return false;
  }
  slots_[i] = {key, value};
  return true;
}

template <class Row>
LayerCosts::Lookup LayerCosts::lookup_of(std::string_view table, const std::vector<Row>& rows) {
  if (rows.empty()) throw_invalid({"layer_costs: the table ", table, " has no rows; it needs at least one"});
  Lookup lookup(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string where = "layer_costs: row " + std::to_string(i) + " of " + std::string(table);
    check_row(where, rows[i]);
    if (lookup.insert(key_of(rows[i]), rows[i].value)) continue;
    throw_invalid({where, ": ", text_of(widths_of(rows[i])), " comes twice; every key may come once"});
  }
  return lookup;
}

LayerCosts::LayerCosts(Tables tables)
    : tables_(std::move(tables)),
      attention_(lookup_of("attention", tables_.attention)),
      feed_forward_(lookup_of("feed_forward", tables_.feed_forward)),
      rest_(lookup_of("rest", tables_.rest)),
      plus_(tables_.plus.empty() ? nullptr : analytic(tables_.plus)) {}

double LayerCosts::predict(const Architecture& a, const Workload& workload) const {
  if (a.family->mixed) refuse(a);
  double sum = 0;
  for (const Layer& layer : a.layers) {
    if (layer.n_head != 0 || layer.n_kv_head != 0) {
      const double* const attention = attention_.find(key_of(a.d_model, layer.n_head, layer.n_kv_head));
      if (attention == nullptr) refuse(a);
      sum += *attention;
    }
    if (layer.d_ff != 0) {
      const double* const feed_forward = feed_forward_.find(key_of(a.d_model, layer.d_ff));
      if (feed_forward == nullptr) refuse(a);
      sum += *feed_forward;
    }
  }
  const double* const rest = rest_.find(key_of(a.d_model, a.embedding_width(), a.div_val));
  if (rest == nullptr) refuse(a);
  sum += *rest;
  if (plus_ != nullptr) sum += plus_(a, workload);
  return std::min(sum, std::numeric_limits<double>::max());  // always a number
}

void LayerCosts::refuse(const Architecture& a) const {
  if (a.family->mixed) {
    throw_invalid({"layer_costs: family is ", a.family->name, ", whose layers differ in more than the tables tell"});
  }
  const auto check = [](const Lookup& lookup, std::string_view table, const auto& row, const std::string& where) {
    if (lookup.find(key_of(row)) != nullptr) return;
    throw_invalid({"layer_costs: the table ", table, " has no ", text_of(widths_of(row)), where});
  };
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    const Layer& layer = a.layers[l];
    const std::string where = ", which layer " + std::to_string(l) + " has";
    if (layer.n_head != 0 || layer.n_kv_head != 0)
      check(attention_, "attention", Attention{a.d_model, layer.n_head, layer.n_kv_head}, where);
    if (layer.d_ff != 0) check(feed_forward_, "feed_forward", FeedForward{a.d_model, layer.d_ff}, where);
  }
  throw_invalid(
      {"layer_costs: the table rest has no ", text_of(widths_of(Rest{a.d_model, a.embedding_width(), a.div_val}))});
}

}  // namespace lts
