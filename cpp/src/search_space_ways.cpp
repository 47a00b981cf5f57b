// In how many ways so many layers of a search space have so many parameters.

#include <algorithm>
#include <map>

#include "lts/error.hpp"
#include "lts/search_space.hpp"
#include "search_space_detail.hpp"

namespace lts {

using namespace detail;

namespace {

constexpr std::size_t kMaxSums = 2'000'000;    // distinct parameter sums of one set of layers, over all depths
constexpr std::uint64_t kWordsPerNumber = 12;  // that keeping a number costs by itself

[[noreturn]] void refuse_sums(std::uint64_t most, std::string_view what) {
  throw_invalid({"parameter bounds: the choices make more than ", std::to_string(most), " ", what,
                 "; use coarser steps of d_ff or fewer heads"});
}

void take_steps(std::uint64_t& steps, std::uint64_t n) {
  if (steps < n) refuse_sums(kMaxSteps, "steps of adding up parameters");
  steps -= n;
}

/// Adds one of the options to every sum; the sums ascend, and `counts` are the ways to each. Merges the sums with each
/// option added.
void add_options(const std::map<std::int64_t, std::uint32_t>& options, std::int64_t max_sum, std::size_t most_sums,
                 std::uint64_t& steps, std::vector<std::int64_t>& sums, std::vector<BigUint>& counts) {
  struct Next {
    std::int64_t sum;
    std::int64_t params;
    std::uint32_t ways;
    std::size_t at;
  };
  const auto later = [](const Next& a, const Next& b) { return a.sum > b.sum; };
  std::vector<Next> heap;
  for (const auto& [params, ways] : options) {
    if (!sums.empty() && sums.front() + params <= max_sum) heap.push_back({sums.front() + params, params, ways, 0});
  }
  std::vector<std::int64_t> next_sums;
  std::vector<BigUint> next_counts;
  while (!heap.empty()) {
    take_steps(steps, 1);
    std::pop_heap(heap.begin(), heap.end(), later);
    Next& next = heap.back();
    if (next_sums.empty() || next_sums.back() != next.sum) {
      if (next_sums.size() == most_sums) refuse_sums(kMaxSums, "distinct parameter sums");
      next_sums.push_back(next.sum);
      next_counts.emplace_back();
    }
    if (next.ways == 1) {
      next_counts.back() += counts[next.at];
    } else {
      BigUint product = counts[next.at];
      product *= next.ways;
      next_counts.back() += product;
    }
    if (++next.at < sums.size() && sums[next.at] + next.params <= max_sum) {
      next.sum = sums[next.at] + next.params;
      std::push_heap(heap.begin(), heap.end(), later);
    } else {
      heap.pop_back();
    }
  }
  sums = std::move(next_sums);
  counts = std::move(next_counts);
}

/// A number that is added, once more or once less.
struct Term {
  std::int64_t shift;
  bool more;
  std::size_t at = 0;  ///< the next of the sums that it is added to
};

/// The difference that most neighbors have.
std::int64_t stride_of(const std::vector<std::int64_t>& ascending) {
  std::map<std::int64_t, std::size_t> n;
  for (std::size_t i = 1; i < ascending.size(); ++i) ++n[ascending[i] - ascending[i - 1]];
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  return n.empty() ? 1 : std::max_element(n.begin(), n.end(), less)->first;
}

/// What the options are but for those a stride before: where even steps begin and end.
std::vector<Term> terms_of(const std::vector<std::int64_t>& options, std::int64_t stride) {
  std::map<std::int64_t, int> n;
  for (const std::int64_t option : options) {
    ++n[option];
    --n[option + stride];
  }
  std::vector<Term> terms;
  for (const auto& [shift, times] : n) {
    if (times != 0) terms.push_back({shift, times > 0});
  }
  return terms;
}

/// The same for options that are mostly a stride apart, such as those of d_ff: what leads to a sum is what led to the
/// one a stride before, and the terms. O(sums * terms), however many options there are.
void add_strides(std::int64_t stride, std::vector<Term> terms, std::int64_t max_sum, std::size_t most_sums,
                 std::uint64_t& steps, std::vector<std::int64_t>& sums, std::vector<BigUint>& counts) {
  std::vector<std::int64_t> next_sums;
  std::vector<BigUint> next_counts;
  std::size_t before = 0;  // in what there is so far
  for (;;) {
    std::int64_t sum = before < next_sums.size() ? next_sums[before] + stride : kNoMax;
    for (const Term& term : terms) {
      if (term.more && term.at < sums.size()) sum = std::min(sum, sums[term.at] + term.shift);
    }
    if (sum > max_sum || sum == kNoMax) break;
    take_steps(steps, terms.size());
    BigUint count;
    if (before < next_sums.size() && next_sums[before] + stride == sum) count = next_counts[before++];
    for (const bool more : {true, false}) {  // first what is added, so that nothing is below 0
      for (Term& term : terms) {
        if (term.more != more || term.at == sums.size() || sums[term.at] + term.shift != sum) continue;
        more ? count += counts[term.at] : count -= counts[term.at];
        ++term.at;
      }
    }
    if (count.is_zero()) continue;
    if (next_sums.size() == most_sums) refuse_sums(kMaxSums, "distinct parameter sums");
    next_sums.push_back(sum);
    next_counts.push_back(std::move(count));
  }
  sums = std::move(next_sums);
  counts = std::move(next_counts);
}

}  // namespace

void SearchSpace::Budget::keep(const BigUint& number) {
  const std::uint64_t needed = number.n_words() + kWordsPerNumber;
  if (needed > words) {
    throw_invalid({"the choices of n_layer and of what goes with it make more combinations than can be counted in ",
                   std::to_string((kMaxWords * sizeof(std::uint32_t)) >> 20U), " MiB; use fewer, or coarser steps"});
  }
  words -= needed;
}

void SearchSpace::build_ways(LayerSet& set, std::int64_t max_sum, Budget& budget) const {
  const auto depth = static_cast<std::size_t>(options_.n_layer.back());
  // The layers are all combinations of some heads and some d_ff, whose parameters just add: heads with the least d_ff,
  // then what a larger d_ff has more. Options with equal parameters count together.
  const auto same_heads = [&first = set.layers.front()](const Layer& layer) {
    return layer.n_head == first.n_head && layer.n_kv_head == first.n_kv_head;
  };
  const auto n_widths =
      static_cast<std::size_t>(std::find_if_not(set.layers.begin(), set.layers.end(), same_heads) - set.layers.begin());
  std::map<std::int64_t, std::uint32_t> heads;
  for (std::size_t i = 0; i < set.params.size(); i += n_widths) ++heads[set.params[i]];
  std::vector<std::int64_t> widths;
  std::map<std::int64_t, std::uint32_t> width_options;
  for (std::size_t i = 0; i < n_widths; ++i) {
    widths.push_back(set.params[i] - set.params[0]);
    width_options[widths.back()] = 1;
  }
  const std::int64_t stride = stride_of(widths);
  const std::vector<Term> terms = terms_of(widths, stride);
  const bool even = 2 * terms.size() <= n_widths + 2;

  const auto all = std::make_shared<std::vector<Ways>>();
  std::size_t n_sums = 0;
  std::vector<std::int64_t> sums{0};
  std::vector<BigUint> counts{BigUint(1)};
  for (std::size_t l = 0;; ++l) {
    Ways ways{.sums = sums, .at_most = {}};
    BigUint total;
    for (const BigUint& count : counts) {
      total += count;
      budget.keep(total);
      ways.at_most.push_back(total);
    }
    n_sums += sums.size();
    all->push_back(std::move(ways));
    if (l == depth) break;
    add_options(heads, max_sum, kMaxSums - n_sums, budget.steps, sums, counts);
    if (n_widths > 1 && even) {
      add_strides(stride, terms, max_sum, kMaxSums - n_sums, budget.steps, sums, counts);
    } else if (n_widths > 1) {
      add_options(width_options, max_sum, kMaxSums - n_sums, budget.steps, sums, counts);
    }
  }
  set.ways = all;
}

}  // namespace lts
