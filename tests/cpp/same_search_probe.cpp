// Prints what every algorithm asked for on spaces of every family, and where it ended: one seed, one text, whatever the
// platform. tests/python/package/test_same_search.py compares the text of x86-64 with those of Arm, byte for byte.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "lts/analytic.hpp"
#include "lts/cost.hpp"
#include "lts/encoding.hpp"
#include "lts/hypervolume.hpp"
#include "lts/json.hpp"
#include "lts/search.hpp"
#include "lts/surrogate.hpp"

namespace {

/// FNV-1a over bytes.
class Digest {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  void add(std::uint64_t word) {
    for (int shift = 0; shift < 64; shift += 8) value_ = (value_ ^ ((word >> shift) & 0xFFU)) * 0x100000001b3ULL;
  }
  void add(double value) { add(std::bit_cast<std::uint64_t>(value)); }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last, std::int64_t step) {
  std::vector<std::int64_t> values;
  for (std::int64_t v = first; v <= last; v += step) values.push_back(v);
  return values;
}

std::vector<lts::SearchSpaceOptions> spaces() {
  lts::SearchSpaceOptions gpt2;
  gpt2.name = "gpt2";
  gpt2.n_layer = range(2, 16, 1);
  gpt2.d_model = range(128, 1024, 64);
  gpt2.n_head = {2, 4, 8};
  gpt2.d_ff = range(256, 4096, 64);
  gpt2.min_ff_ratio = 1.7;

  lts::SearchSpaceOptions bounded = gpt2;
  bounded.name = "gpt2-bounded";
  bounded.n_layer = range(2, 8, 1);
  bounded.decoder_params = {.min = 4'000'000, .max = 30'000'000};
  bounded.total_params.max = 60'000'000;

  lts::SearchSpaceOptions xl;
  xl.name = "transformer_xl";
  xl.family = "transformer_xl";
  xl.vocab_size = 267'735;
  xl.n_positions = 192;
  xl.cutoffs = {19'997, 39'997, 199'997, 267'735};
  xl.n_layer = range(3, 10, 1);
  xl.d_model = range(128, 512, 64);
  xl.n_head = {2, 3, 5, 8};
  xl.d_ff = range(256, 2048, 50);
  xl.d_embed = {-1, 128, 200};
  xl.div_val = {1, 2, 4};

  lts::SearchSpaceOptions llama;
  llama.name = "llama";
  llama.family = "llama";
  llama.vocab_size = 32'000;
  llama.n_layer = range(2, 12, 2);
  llama.d_model = {192, 256, 384, 512};
  llama.n_head = {4, 6, 8, 12};
  llama.n_kv_head = {1, 2, 3, 4};
  llama.d_ff = range(256, 2048, 128);
  llama.shared_n_head = true;

  lts::SearchSpaceOptions pruned = llama;
  pruned.name = "pruned";
  pruned.head_dim = 64;
  pruned.n_layer = {12};
  pruned.d_model = {512};
  pruned.n_head.clear();
  pruned.n_kv_head.clear();
  pruned.heads = {{0, 0}, {2, 1}, {4, 2}, {8, 4}};
  pruned.d_ff = range(0, 2048, 128);
  pruned.shared_n_head = false;

  return {gpt2, bounded, xl, llama, pruned};
}

lts::SearchOptions options(std::string_view algorithm) {
  return {.objectives = {{"decoder_params", lts::Direction::maximize},
                         {"flops_decode", lts::Direction::minimize},
                         {"peak_memory_estimate_mib", lts::Direction::minimize}},
          .constraints = {{"kv_cache_mib", lts::Constraint::Relation::at_most, 6.5},
                          {"total_params", lts::Constraint::Relation::at_least, 5e6}},
          .algorithm = lts::algorithm_options(algorithm),
          .seed = 20'221'128};
}

class Probe {
 public:
  Probe(const lts::SearchSpaceOptions& space, std::string_view algorithm)
      : search_(lts::SearchSpace(space), options(algorithm)), space_(space), encoding_(space_) {}

  /// Asks in portions of changing size, tells most results, the later first, lets some fail and leaves some open.
  void run(int n_rounds) {
    constexpr std::size_t sizes[] = {1, 40, 7, 100, 23};
    for (int round = 0; round < n_rounds; ++round) {
      std::vector<lts::Candidate> candidates = search_.ask(sizes[static_cast<std::size_t>(round) % std::size(sizes)]);
      std::reverse(candidates.begin(), candidates.end());
      for (const lts::Candidate& candidate : candidates) tell(candidate);
      if (round == n_rounds / 2) {
        search_ = lts::Search(lts::search_state_from_json(lts::to_json(search_.state())));
      }
    }
  }

  void print() const {
    std::vector<double> worst(search_.archive().n_objectives(), 0.0);
    for (std::size_t i = 0; i < search_.archive().points().size(); ++i) {
      double& w = worst[i % worst.size()];
      w = std::max(w, search_.archive().points()[i]);
    }
    const double volume = lts::hypervolume(search_.archive().points(), worst);
    std::cout << "algorithm " << lts::algorithm_name(search_.options().algorithm) << ", space " << space_.options().name
              << " of " << space_.size().to_decimal() << ": asked " << search_.n_asked() << ", told "
              << search_.n_told() << ", failed " << search_.n_failed() << ", front " << search_.archive().size()
              << std::hex << ", genotypes " << genotypes_.value() << ", indices " << indices_.value() << ", values "
              << values_.value() << ", surrogate " << surrogate() << ", volume " << std::bit_cast<std::uint64_t>(volume)
              << std::dec << '\n'
              << lts::to_json(search_.state()) << '\n';
  }

 private:
  /// Digest of fits to the first candidates, whose costs are disturbed and have unequal noise.
  [[nodiscard]] std::uint64_t surrogate() const {
    Digest digest;
    for (const bool pairwise : {false, true}) {
      const lts::Surrogate fit = lts::Surrogate::fit(samples_, {.pairwise = pairwise});
      for (const double coefficient : fit.state().coefficients) digest.add(coefficient);
      for (const lts::CostSample& sample : samples_) {
        const lts::Prediction prediction = fit.interval(sample.architecture);
        for (const double value : {prediction.value, prediction.low, prediction.high}) digest.add(value);
      }
    }
    return digest.value();
  }

  void tell(const lts::Candidate& candidate) {
    for (const std::uint16_t gene : encoding_.encode(candidate.architecture)) genotypes_.add(std::uint64_t{gene});
    indices_.add(space_.index(candidate.architecture).to_decimal());
    indices_.add("\n");
    for (const std::string_view name : lts::analytic_names()) {
      values_.add(lts::analytic(name)(candidate.architecture, {.n_prompt = 192}));
    }
    if (samples_.size() < 40) {
      samples_.push_back({.architecture = candidate.architecture,
                          .value = lts::flops_decode(candidate.architecture) * (1 + 0.1 * noise_.uniform()),
                          .noise = 0.03 * noise_.uniform()});
    }
    if (candidate.id % 17 == 5) return;
    if (candidate.id % 11 == 3) {
      search_.tell_failed(candidate.id);
      return;
    }
    std::vector<double> values;
    for (const std::string& column : search_.columns()) {
      values.push_back(lts::analytic(column)(candidate.architecture, {.n_prompt = 192}));
    }
    search_.tell(candidate.id, values);
  }

  lts::Search search_;
  lts::SearchSpace space_;
  lts::Encoding encoding_;
  Digest genotypes_;
  Digest indices_;
  Digest values_;
  std::vector<lts::CostSample> samples_;
  lts::Random noise_;
};

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (const lts::SearchSpaceOptions& space : spaces()) {
    for (const std::string_view algorithm : lts::algorithm_names()) {
      Probe probe(space, algorithm);
      probe.run(20);
      probe.print();
    }
  }
  return 0;
}
