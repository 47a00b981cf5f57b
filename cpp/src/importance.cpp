#include "lts/importance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "lts/error.hpp"
#include "surrogate_quantile.hpp"

namespace lts {

namespace {

constexpr std::size_t kFewestSamples = 3;
// Degrees of freedom of variances that are taken as known: the quantile is within 0.2 % of the normal one.
constexpr double kKnown = 1000;
// Balances that vary less than this, in mean of squares, tell attention from feed-forward networks by
// rounding.
constexpr double kLeastSpread = 1e-12;

using AttentionRow = LossTable::Attention;
using FeedForwardRow = LossTable::FeedForward;

auto level_of(const AttentionRow& row) { return std::pair(row.n_head, row.n_kv_head); }
auto level_of(const FeedForwardRow& row) { return row.d_ff; }

std::string text_of(const AttentionRow& row) {
  return "n_head " + std::to_string(row.n_head) + ", n_kv_head " + std::to_string(row.n_kv_head);
}
std::string text_of(const FeedForwardRow& row) { return "d_ff " + std::to_string(row.d_ff); }

void check_width(const std::string& where, std::string_view name, std::int64_t width) {
  if (width >= 0 && width <= max_width) return;
  throw_invalid(
      {where, ": ", name, " is ", std::to_string(width), "; it must be from 0 to ", std::to_string(max_width)});
}
void check_level(const std::string& where, const AttentionRow& row) {
  check_width(where, "n_head", row.n_head);
  check_width(where, "n_kv_head", row.n_kv_head);
}
void check_level(const std::string& where, const FeedForwardRow& row) { check_width(where, "d_ff", row.d_ff); }

/// @throws std::invalid_argument unless the number is finite and not negative.
void check_amount(const std::string& where, std::string_view name, double value) {
  if (std::isfinite(value) && value >= 0) return;
  throw_invalid({where, ": ", name, " is ", to_text(value), "; it must be finite and not negative"});
}

template <class Row>
void check_row(const std::string& where, const Row& row) {
  if (row.layer < 0 || row.layer >= max_layers) {
    throw_invalid(
        {where, ": layer is ", std::to_string(row.layer), "; it must be from 0 to ", std::to_string(max_layers - 1)});
  }
  check_level(where, row);
  check_amount(where, "loss", row.loss);
  check_amount(where, "variance", row.variance);
}

/// Checks and sorts the rows; where those of every layer begin, and their end.
template <class Row>
std::vector<std::size_t> arrange(std::string_view part, std::vector<Row>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    check_row("loss table: row " + std::to_string(i) + " of " + std::string(part), rows[i]);
  }
  const auto key = [](const Row& row) { return std::pair(row.layer, level_of(row)); };
  std::sort(rows.begin(), rows.end(), [&key](const Row& a, const Row& b) { return key(a) < key(b); });
  std::vector<std::size_t> begin;
  const auto check_gap = [&](std::size_t layer) {
    if (layer <= begin.size()) return;
    throw_invalid(
        {"loss table: ", part, " has no rows for layer ", std::to_string(begin.size()), "; every layer needs some"});
  };
  if (rows.empty()) check_gap(1);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto layer = static_cast<std::size_t>(rows[i].layer);
    check_gap(layer);
    if (layer == begin.size()) {
      begin.push_back(i);
    } else if (key(rows[i - 1]) == key(rows[i])) {
      throw_invalid({"loss table: ", part, " of layer ", std::to_string(layer), " has ", text_of(rows[i]),
                     " twice; every level may come once"});
    }
  }
  begin.push_back(rows.size());
  return begin;
}

/// The row of a layer and level. @throws std::invalid_argument when there is none.
template <class Row>
const Row& find(std::string_view part, const std::vector<Row>& rows, const std::vector<std::size_t>& begin,
                std::size_t layer, const Row& wanted) {
  if (layer + 1 < begin.size()) {
    const auto at = [&rows](std::size_t i) { return rows.begin() + static_cast<std::ptrdiff_t>(i); };
    const auto end = at(begin[layer + 1]);
    const auto found = std::lower_bound(at(begin[layer]), end, wanted,
                                        [](const Row& a, const Row& b) { return level_of(a) < level_of(b); });
    if (found != end && level_of(*found) == level_of(wanted)) return *found;
  }
  throw_invalid({"loss table: ", part, " of layer ", std::to_string(layer), " has no ", text_of(wanted)});
}

void check_fit(const LossTable::Fit& fit) {
  const std::string where = "loss table: fit";
  if (fit.n_samples != 0 && fit.n_samples < kFewestSamples) {
    throw_invalid({where, ": n_samples is ", std::to_string(fit.n_samples), "; it must be 0, or 3 and more"});
  }
  check_amount(where, "attention_scale", fit.attention_scale);
  check_amount(where, "feed_forward_scale", fit.feed_forward_scale);
  check_amount(where, "error", fit.error);
  check_amount(where, "weight", fit.weight);
  if (fit.n_samples > 0 && !(fit.weight > 0)) throw_invalid({where, ": weight is 0; it must be above 0"});
  check_amount(where, "spread", fit.spread);
  if (!(std::abs(fit.balance) <= 1)) {
    throw_invalid({where, ": balance is ", to_text(fit.balance), "; it must be from -1 to 1"});
  }
}

/// A measured loss, relative to its sum in the table.
struct Sample {
  double balance;  ///< (A - F) / (A + F)
  double ratio;    ///< loss / (A + F)
  double weight;   ///< one over the variance of the ratio
};

double weight_of(const std::vector<Sample>& samples) {
  double sum = 0;
  for (const Sample& s : samples) sum += s.weight;
  return sum;
}

double mean_of(const std::vector<Sample>& samples, double Sample::*member) {
  double sum = 0;
  for (const Sample& s : samples) sum += s.weight * (s.*member);
  return sum / weight_of(samples);
}

/// The scale of one part where that of the other is 0: the line through 0 at the balance `zero`.
double single_scale(const std::vector<Sample>& samples, double zero) {
  double products = 0;
  double squares = 0;
  for (const Sample& s : samples) {
    const double share = std::abs(s.balance - zero) / 2;
    products += s.weight * share * s.ratio;
    squares += s.weight * share * share;
  }
  return squares > 0 ? std::max(0.0, products / squares) : 0.0;
}

/// Weighted least squares of ratio = (a (1 + balance) + f (1 - balance)) / 2 with scales a and f that are not negative.
LossTable::Fit fitted(const std::vector<Sample>& samples) {
  LossTable::Fit fit{
      .n_samples = samples.size(), .weight = weight_of(samples), .balance = mean_of(samples, &Sample::balance)};
  const double mean = mean_of(samples, &Sample::ratio);
  double products = 0;
  for (const Sample& s : samples) {
    fit.spread += s.weight * (s.balance - fit.balance) * (s.balance - fit.balance);
    products += s.weight * (s.balance - fit.balance) * (s.ratio - mean);
  }
  if (fit.spread <= kLeastSpread * fit.weight) fit.spread = 0;
  if (fit.spread == 0) {
    fit.attention_scale = fit.feed_forward_scale = mean;
  } else {
    const double slope = products / fit.spread;
    const double middle = mean - slope * fit.balance;
    fit.attention_scale = middle + slope;
    fit.feed_forward_scale = middle - slope;
    if (fit.attention_scale < 0) {
      fit.attention_scale = 0;
      fit.feed_forward_scale = single_scale(samples, 1);
    } else if (fit.feed_forward_scale < 0) {
      fit.feed_forward_scale = 0;
      fit.attention_scale = single_scale(samples, -1);
    }
  }
  double squares = 0;
  for (const Sample& s : samples) {
    const double line = (fit.attention_scale * (1 + s.balance) + fit.feed_forward_scale * (1 - s.balance)) / 2;
    squares += s.weight * (s.ratio - line) * (s.ratio - line);
  }
  fit.error = std::sqrt(squares / (static_cast<double>(samples.size()) - (fit.spread > 0 ? 2 : 1)));
  return fit;
}

double finite(double value) { return std::min(value, std::numeric_limits<double>::max()); }

}  // namespace

LossTable::LossTable(State state) : state_(std::move(state)) {
  if (!(state_.level >= 0.5 && state_.level <= 0.99)) {
    throw_invalid({"loss table: level is ", to_text(state_.level), "; it must be from 0.5 to 0.99"});
  }
  attention_begin_ = arrange("attention", state_.attention);
  feed_forward_begin_ = arrange("feed_forward", state_.feed_forward);
  if (attention_begin_.size() != feed_forward_begin_.size()) {
    throw_invalid({"loss table: attention has ", std::to_string(n_layer()), " layers, feed_forward ",
                   std::to_string(feed_forward_begin_.size() - 1), "; they must have as many"});
  }
  check_fit(state_.fit);
  const auto varies = [](const auto& row) { return row.variance > 0; };
  has_variances_ = std::any_of(state_.attention.begin(), state_.attention.end(), varies) ||
                   std::any_of(state_.feed_forward.begin(), state_.feed_forward.end(), varies);
  const auto n = static_cast<double>(state_.fit.n_samples);
  quantile_ = detail::student_quantile(state_.level, n == 0 ? kKnown : n - (state_.fit.spread > 0 ? 2 : 1));
}

const LossTable::Attention& LossTable::row_of(std::size_t layer, std::int64_t n_head, std::int64_t n_kv_head) const {
  return find("attention", state_.attention, attention_begin_, layer,
              Attention{.n_head = n_head, .n_kv_head = n_kv_head});
}

const LossTable::FeedForward& LossTable::row_of(std::size_t layer, std::int64_t d_ff) const {
  return find("feed_forward", state_.feed_forward, feed_forward_begin_, layer, FeedForward{.d_ff = d_ff});
}

double LossTable::attention_loss(std::size_t layer, std::int64_t n_head, std::int64_t n_kv_head) const {
  return state_.fit.attention_scale * row_of(layer, n_head, n_kv_head).loss;
}

double LossTable::feed_forward_loss(std::size_t layer, std::int64_t d_ff) const {
  return state_.fit.feed_forward_scale * row_of(layer, d_ff).loss;
}

LossTable::Sums LossTable::sums_of(const Architecture& a) const {
  if (a.n_layer() != n_layer()) {
    throw_invalid({"loss table: the architecture has ", std::to_string(a.n_layer()), " layers; the table has ",
                   std::to_string(n_layer())});
  }
  Sums sums;
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    const Layer& layer = a.layers[l];
    const AttentionRow& attention = row_of(l, layer.n_head, layer.n_kv_head);
    const FeedForwardRow& feed_forward = row_of(l, layer.d_ff);
    sums.attention += attention.loss;
    sums.feed_forward += feed_forward.loss;
    sums.variance += attention.variance + feed_forward.variance;
  }
  return sums;
}

double LossTable::Sums::total() const noexcept { return finite(attention + feed_forward); }

double LossTable::variance_of(const Sums& sums) const noexcept {
  return finite(has_variances_ ? sums.variance : sums.total() * sums.total());
}

double LossTable::predict(const Architecture& a) const {
  const Sums sums = sums_of(a);
  return finite(state_.fit.attention_scale * sums.attention + state_.fit.feed_forward_scale * sums.feed_forward);
}

Prediction LossTable::interval(const Architecture& a) const {
  const Sums sums = sums_of(a);
  const Fit& fit = state_.fit;
  const double value = finite(fit.attention_scale * sums.attention + fit.feed_forward_scale * sums.feed_forward);
  double deviation = std::sqrt(finite(sums.variance));
  if (fit.n_samples > 0) {
    const double total = sums.total();
    double leverage = 1.0 / fit.weight;
    if (total > 0 && fit.spread > 0) {
      const double distance = (sums.attention - sums.feed_forward) / total - fit.balance;
      leverage += distance * distance / fit.spread;
    }
    deviation = fit.error * std::sqrt(finite(variance_of(sums) + total * total * leverage));
  }
  const double half = finite(quantile_ * deviation);
  return {.value = value, .low = std::max(0.0, value - half), .high = finite(value + half)};
}

LossTable LossTable::refit(std::span<const Architecture> architectures, std::span<const double> losses,
                           double level) const {
  if (architectures.size() != losses.size()) {
    throw_invalid({"loss table: ", std::to_string(architectures.size()), " architectures have ",
                   std::to_string(losses.size()), " losses; each needs one"});
  }
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    if (!std::isfinite(losses[i])) {
      throw_invalid({"loss table: loss ", std::to_string(i), " is ", to_text(losses[i]), "; it must be finite"});
    }
    const Sums sums = sums_of(architectures[i]);
    const double total = sums.total();
    const double relative = total > 0 ? std::sqrt(variance_of(sums)) / total : 0;
    if (!(relative > 0)) continue;
    samples.push_back({.balance = (sums.attention - sums.feed_forward) / total,
                       .ratio = losses[i] / total,
                       .weight = has_variances_ ? 1 / (relative * relative) : 1});
  }
  if (samples.size() < kFewestSamples) {
    throw_invalid({"loss table: ", std::to_string(samples.size()),
                   " of the samples lose something by the table; at least 3 must"});
  }
  const double mean = mean_of(samples, &Sample::ratio);
  if (!(mean > 0 && std::isfinite(mean))) {
    throw_invalid({"loss table: the measured losses are on average ", to_text(mean),
                   " of what the table says; it must be above 0"});
  }
  State state = state_;
  state.level = level;
  state.fit = fitted(samples);
  return LossTable(std::move(state));
}

}  // namespace lts
