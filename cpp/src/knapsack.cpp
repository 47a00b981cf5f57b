#include "lts/knapsack.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <tuple>

#include "lts/error.hpp"

namespace lts {

namespace {

constexpr std::int64_t kMaxCost = std::int64_t{1} << 48;  // so that no sum of a part's costs overflows
constexpr double kMaxLoss = 1e300;                        // nor one of losses
constexpr auto kMaxParts = static_cast<std::size_t>(2 * max_layers);
constexpr std::size_t kMaxChoices = std::size_t{1} << 16;
constexpr std::int64_t kMaxCells = std::int64_t{1} << 27;  // 256 MiB
constexpr double kUnreached = std::numeric_limits<double>::infinity();
constexpr int kSamples = 32;  // architectures whose cost must be the sum of their parts'
constexpr double kRounding = 1e-9;

/// Counts with all their digits.
std::string amount(double value) {
  const bool whole = std::abs(value) <= 0x1p53 && std::floor(value) == value;
  return whole ? std::to_string(static_cast<std::int64_t>(value)) : to_text(value);
}

bool cheaper(const KnapsackChoice& a, const KnapsackChoice& b) { return a.cost < b.cost; }

/// A choice that no other of its part is at least as good as.
struct Option {
  std::uint16_t choice;
  double loss;
  std::int64_t step;  ///< cost above the cheapest
};

std::vector<Option> options_of(std::size_t part, const std::vector<KnapsackChoice>& choices) {
  const std::string where = "knapsack: part " + std::to_string(part);
  if (choices.empty() || choices.size() > kMaxChoices) {
    throw_invalid({where, " has ", std::to_string(choices.size()), " choices; it must have from 1 to 65536"});
  }
  std::vector<Option> sorted;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const auto& [loss, cost] = choices[i];
    if (!(std::abs(loss) <= kMaxLoss)) {
      throw_invalid(
          {where, ", choice ", std::to_string(i), ": loss is ", to_text(loss), "; it must be finite, up to 1e300"});
    }
    if (cost < -kMaxCost || cost > kMaxCost) {
      throw_invalid({where, ", choice ", std::to_string(i), ": cost is ", std::to_string(cost),
                     "; it must be from -2^48 to 2^48; use a coarser unit"});
    }
    sorted.push_back({static_cast<std::uint16_t>(i), loss, cost});
  }
  std::sort(sorted.begin(), sorted.end(), [](const Option& a, const Option& b) {
    return std::tie(a.step, a.loss, a.choice) < std::tie(b.step, b.loss, b.choice);
  });
  std::vector<Option> kept;
  for (Option option : sorted) {
    if (!kept.empty() && option.loss >= kept.back().loss) continue;
    option.step -= sorted.front().step;
    kept.push_back(option);
  }
  return kept;
}

/// In units, rounded. @throws std::invalid_argument when it is out of range.
std::int64_t in_units(double cost, double unit) {
  const double n = cost / unit;
  if (!(std::abs(n) <= static_cast<double>(kMaxCost))) {
    throw_invalid({"knapsack: a part costs ", to_text(cost), ", which is ", to_text(n),
                   " units; it must be up to 2^48; use a coarser unit"});
  }
  return std::llround(n);
}

void check_space(const SearchSpace& space) {
  const SearchSpaceOptions& o = space.options();
  if (space.bounded()) {
    throw_invalid({"knapsack: the space bounds the parameters; leave the bounds out, and give max_cost"});
  }
  if (o.shared_n_head || o.shared_n_kv_head || o.shared_d_ff) {
    throw_invalid({"knapsack: the space has shared dimensions; every layer must have choices of its own"});
  }
  if (o.head_dim_choices.size() > 1 || o.bias.size() > 1) {
    throw_invalid({"knapsack: the space has more than one head_dim or bias; it must have one each"});
  }
  if (o.d_model.size() != 1 || o.n_layer.size() != 1 || o.d_embed.size() != 1 || o.div_val.size() != 1) {
    throw_invalid(
        {"knapsack: the space has more than one d_model, n_layer, d_embed or div_val; it must have one each"});
  }
}

}  // namespace

Knapsack::Knapsack(std::span<const std::vector<KnapsackChoice>> parts, std::int64_t max_cost) : n_parts_(parts.size()) {
  if (parts.empty() || parts.size() > kMaxParts) {
    throw_invalid({"knapsack: there are ", std::to_string(parts.size()), " parts; there must be from 1 to ",
                   std::to_string(kMaxParts)});
  }
  std::vector<std::vector<Option>> options;
  std::int64_t room = 0;  // what the most expensive choices cost above the cheapest
  std::int64_t divisor = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    options.push_back(options_of(p, parts[p]));
    const std::int64_t cheapest = std::min_element(parts[p].begin(), parts[p].end(), cheaper)->cost;
    least_ += cheapest;
    room += options.back().back().step;
    for (const Option& option : options.back()) divisor = std::gcd(divisor, option.step);
    auto& steps = steps_.emplace_back();
    for (const KnapsackChoice& choice : parts[p]) steps.push_back(choice.cost - cheapest);
  }
  if (max_cost < least_) {
    throw_invalid(
        {"knapsack: max_cost is ", std::to_string(max_cost), "; the cheapest choices cost ", std::to_string(least_)});
  }
  if (max_cost < least_ + room) room = max_cost - least_;
  unit_ = std::max<std::int64_t>(1, divisor);
  room /= unit_;

  // For every cost so far the least loss, and the choice of this part that it comes from.
  std::vector<double> best{0.0};
  std::vector<double> next;
  std::int64_t n_cells = 0;
  for (const std::vector<Option>& part : options) {
    const auto before = static_cast<std::int64_t>(best.size());
    const std::int64_t n = std::min(room, before - 1 + part.back().step / unit_) + 1;
    n_cells += n;
    if (n_cells > kMaxCells) {
      throw_invalid({"knapsack: the costs make more than 2^27 sums over the parts; use a coarser unit"});
    }
    next.assign(static_cast<std::size_t>(n), kUnreached);
    auto& chosen = chosen_.emplace_back(static_cast<std::size_t>(n));
    for (const Option& option : part) {
      const std::int64_t step = option.step / unit_;
      const std::int64_t end = std::min(before, n - step);
      for (std::int64_t c = 0; c < end; ++c) {
        const double loss = best[static_cast<std::size_t>(c)] + option.loss;
        const auto to = static_cast<std::size_t>(c + step);
        if (loss < next[to]) {
          next[to] = loss;
          chosen[to] = option.choice;
        }
      }
    }
    best.swap(next);
  }
  for (std::size_t c = 0; c < best.size(); ++c) {
    if (best[c] == kUnreached || (!losses_.empty() && best[c] >= losses_.back())) continue;
    costs_.push_back(least_ + static_cast<std::int64_t>(c) * unit_);
    losses_.push_back(best[c]);
  }
}

std::vector<std::size_t> Knapsack::choices(std::size_t index) const {
  if (index >= costs_.size()) {
    throw_invalid({"knapsack: there is no member ", std::to_string(index), "; the front has ",
                   std::to_string(costs_.size()), ", from 0"});
  }
  std::vector<std::size_t> result(n_parts_);
  auto cell = static_cast<std::size_t>((costs_[index] - least_) / unit_);
  for (std::size_t p = n_parts_; p-- > 0;) {
    result[p] = chosen_[p][cell];
    cell -= static_cast<std::size_t>(steps_[p][result[p]] / unit_);
  }
  return result;
}

KnapsackFront::KnapsackFront(const SearchSpace& space, const LossTable& table,
                             const std::function<double(const Architecture&)>& cost, const KnapsackOptions& options) {
  if (!cost) throw_invalid({"knapsack: a function that says costs is needed"});
  if (!(options.unit > 0 && std::isfinite(options.unit))) {
    throw_invalid({"knapsack: unit is ", to_text(options.unit), "; it must be finite and above 0"});
  }
  check_space(space);
  BigUint last = space.size();
  last -= BigUint(1);
  base_ = space.at(last);  // of the widest layers
  const double base_cost = cost(base_);
  if (!std::isfinite(base_cost)) throw_invalid({"knapsack: the cost is ", to_text(base_cost), "; it must be finite"});

  // The choices of a layer that the rules allow.
  Architecture probe = base_;
  Layer& first = probe.layers.front();
  for (const Heads& heads : head_choices(space.options())) {
    first.n_head = heads.n_head;
    first.n_kv_head = heads.n_kv_head;
    if (space.contains(probe)) heads_.push_back(heads);
  }
  first = base_.layers.front();
  for (const std::int64_t d_ff : d_ff_choices(space.options(), base_.d_model)) {
    first.d_ff = d_ff;
    if (space.contains(probe)) d_ff_.push_back(d_ff);
  }
  first = base_.layers.front();

  // By layer: its attention, then its feed-forward network.
  std::vector<std::vector<KnapsackChoice>> parts;
  std::vector<std::vector<double>> costs;  // above the base, before they are rounded
  const auto add = [&](double loss) {
    costs.back().push_back(cost(probe) - base_cost);
    parts.back().push_back({loss, in_units(costs.back().back(), options.unit)});
  };
  for (std::size_t l = 0; l < probe.layers.size(); ++l) {
    Layer& layer = probe.layers[l];
    parts.emplace_back();
    costs.emplace_back();
    for (const auto& [n_head, n_kv_head] : heads_) {
      layer.n_head = n_head;
      layer.n_kv_head = n_kv_head;
      add(table.attention_loss(l, n_head, n_kv_head));
    }
    layer = base_.layers[l];
    parts.emplace_back();
    costs.emplace_back();
    for (const std::int64_t d_ff : d_ff_) {
      layer.d_ff = d_ff;
      add(table.feed_forward_loss(l, d_ff));
    }
    layer = base_.layers[l];
  }

  // Any architecture must cost as much as its parts.
  Random random(0);
  std::vector<std::size_t> choices(parts.size());
  for (int i = 0; i < kSamples; ++i) {
    double expected = base_cost;
    double size = std::abs(base_cost);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      choices[p] = random.below(static_cast<std::uint32_t>(parts[p].size()));
      expected += costs[p][choices[p]];
      size += std::abs(costs[p][choices[p]]);
    }
    const Architecture sample = architecture_of(choices);
    if (!space.contains(sample)) continue;  // without any layer
    if (const double value = cost(sample); !(std::abs(value - expected) <= kRounding * size)) {
      throw_invalid({"knapsack: the cost is no sum over the parts of layers: an architecture costs ", amount(value),
                     ", its parts ", amount(expected)});
    }
  }

  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  if (options.max_cost) {
    const double room = std::floor((*options.max_cost - base_cost) / options.unit);
    if (std::isnan(room)) throw_invalid({"knapsack: max_cost is ", amount(*options.max_cost), "; it must be a number"});
    std::int64_t least = 0;
    for (const auto& part : parts) least += std::min_element(part.begin(), part.end(), cheaper)->cost;
    if (room < static_cast<double>(least)) {
      throw_invalid({"knapsack: max_cost is ", amount(*options.max_cost), "; the cheapest architecture costs ",
                     amount(base_cost + static_cast<double>(least) * options.unit)});
    }
    if (room < 0x1p62) most = static_cast<std::int64_t>(room);
  }
  knapsack_.emplace(parts, most);

  // The cheapest choices may leave no layer at all, which is no architecture.
  first_ = space.contains(architecture_of(knapsack_->choices(0))) ? 0 : 1;
  for (std::size_t i = first_; i < knapsack_->costs().size(); ++i) {
    costs_.push_back(base_cost + static_cast<double>(knapsack_->costs()[i]) * options.unit);
    losses_.push_back(knapsack_->losses()[i]);
  }
  if (costs_.empty()) {
    throw_invalid(
        {"knapsack: max_cost is ", amount(*options.max_cost), "; only a network without layers costs as little"});
  }
}

Architecture KnapsackFront::architecture_of(std::span<const std::size_t> choices) const {
  Architecture a = base_;
  for (std::size_t l = 0; l < a.layers.size(); ++l) {
    const Heads& heads = heads_[choices[2 * l]];
    a.layers[l].n_head = heads.n_head;
    a.layers[l].n_kv_head = heads.n_kv_head;
    a.layers[l].d_ff = d_ff_[choices[2 * l + 1]];
  }
  return a;
}

Architecture KnapsackFront::at(std::size_t index) const {
  if (index >= costs_.size()) {
    throw_invalid({"knapsack: there is no member ", std::to_string(index), "; the front has ",
                   std::to_string(costs_.size()), ", from 0"});
  }
  return architecture_of(knapsack_->choices(first_ + index));
}

}  // namespace lts
