#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <stdexcept>

#include "architecture_fixture.hpp"
#include "cost_fixture.hpp"
#include "lts/cost.hpp"
#include "lts/json.hpp"
#include "lts/random.hpp"
#include "lts/search_space.hpp"
#include "lts/surrogate.hpp"
#include "message.hpp"

namespace lts {
namespace {

using oracle::message_of;

using fixture::additive;
using fixture::index;
using fixture::noise_of;
using fixture::sampled;
using fixture::samples_of;
using fixture::some_space;

TEST(CostTerms, ByHand) {
  const Architecture a = fixture::small_gpt2();  // d 4, two heads of width 2, d_ff 8, vocabulary 10
  const auto t = cost_terms(a);
  EXPECT_EQ(t[index(CostTerm::constant)], 1);
  EXPECT_EQ(t[index(CostTerm::layers)], 1);
  EXPECT_EQ(t[index(CostTerm::width)], 4);
  EXPECT_EQ(t[index(CostTerm::attention)], 4 * 16);
  EXPECT_EQ(t[index(CostTerm::feed_forward)], 2 * 32);
  EXPECT_EQ(t[index(CostTerm::d_ff)], 8);
  EXPECT_EQ(t[index(CostTerm::heads)], 2);
  EXPECT_EQ(t[index(CostTerm::key_value)], 4);
  EXPECT_EQ(t[index(CostTerm::biases)], 4 + 2 + 2);  // attention, feed-forward network, the two norms
  EXPECT_EQ(t[index(CostTerm::output)], 40);
  EXPECT_EQ(t[index(CostTerm::widest)], 8);
}

TEST(CostTerms, HalfALayer) {
  Architecture a = fixture::small_gpt2();
  a.layers = {{.n_head = 2, .n_kv_head = 2, .d_ff = 0}, {.n_head = 0, .n_kv_head = 0, .d_ff = 8}, {0, 0, 0}};
  EXPECT_EQ(cost_terms(a), cost_terms(fixture::small_gpt2()));
  a.layers.pop_back();
  a.layers.pop_back();
  EXPECT_EQ(cost_terms(a)[index(CostTerm::layers)], 0.5);
  EXPECT_EQ(cost_terms(a)[index(CostTerm::width)], 2);
  EXPECT_EQ(cost_terms(a)[index(CostTerm::feed_forward)], 0);
}

TEST(CostTerms, OperationsAreThoseOfTheTerms) {
  for (const Architecture& a : sampled(50, 1)) {
    const auto t = cost_terms(a);
    double attended = 0;
    for (const Layer& layer : a.layers) attended += static_cast<double>(2 * layer.n_head * a.width_of_head(layer));
    const double expected =
        t[index(CostTerm::attention)] + t[index(CostTerm::feed_forward)] + t[index(CostTerm::output)] + attended;
    EXPECT_DOUBLE_EQ(flops_prefill(a, {.n_prompt = 1}), 2 * expected);
  }
}

TEST(Surrogate, FindsAnAdditiveCostExactly) {
  const auto seen = sampled(25, 2);
  SurrogateFit quality;
  const Surrogate surrogate = Surrogate::fit(samples_of(seen, 0, 0), {}, &quality);
  EXPECT_LT(quality.error, 1e-6);
  for (const Architecture& a : sampled(200, 3)) EXPECT_NEAR(surrogate.predict(a) / additive(a), 1, 1e-5);
  EXPECT_EQ(std::count(quality.outlier.begin(), quality.outlier.end(), true), 0);
}

TEST(Surrogate, IntervalsHoldWhatTheyPromise) {
  double covered = 0;
  int n = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    const Surrogate surrogate = Surrogate::fit(samples_of(sampled(30, 2 * seed + 100), 0.05, seed));
    const auto fresh = samples_of(sampled(100, 2 * seed + 101), 0.05, seed + 1000);
    for (const CostSample& s : fresh) {
      const Prediction p = surrogate.interval(s.architecture);
      EXPECT_DOUBLE_EQ(p.value, surrogate.predict(s.architecture));
      covered += p.low <= s.value && s.value <= p.high ? 1 : 0;
      ++n;
    }
  }
  EXPECT_GT(covered / n, 0.85);
  EXPECT_LT(covered / n, 0.95);
}

/// The share of intervals that hold new samples, of fits to `n` of them.
double held(std::size_t n, const std::vector<double>& prior, const auto& device) {
  double inside = 0;
  constexpr std::uint64_t fits = 60;
  constexpr std::size_t fresh = 50;
  for (std::uint64_t seed = 0; seed < fits; ++seed) {
    Random random(seed);
    const auto measured = [&](std::size_t count, std::uint64_t of) {
      std::vector<CostSample> samples;
      for (const Architecture& a : sampled(count, of)) {
        // Close to normal.
        const double noise = 0.05 * (noise_of(random) + noise_of(random) + noise_of(random));
        samples.push_back({a, device(a) * (1 + noise), 0.0});
      }
      return samples;
    };
    const Surrogate surrogate = Surrogate::fit(measured(n, 2 * seed + 300), {.prior = prior});
    for (const CostSample& s : measured(fresh, 2 * seed + 301)) {
      const Prediction p = surrogate.interval(s.architecture);
      inside += p.low <= s.value && s.value <= p.high ? 1 : 0;
    }
  }
  return inside / static_cast<double>(fits * fresh);
}

TEST(Surrogate, IntervalsOfFewSamplesHoldWhatTheyPromise) {
  const Surrogate known = Surrogate::fit(samples_of(sampled(60, 13), 0, 0));
  // Another device of the same kind, with dearer attention.
  const auto other = [](const Architecture& a) {
    return 1.7 * (additive(a) + 2e-6 * cost_terms(a)[index(CostTerm::attention)]);
  };
  for (const std::size_t n : std::initializer_list<std::size_t>{4, 5, 6, 8, 10, 12, 14}) {
    const double without = held(n, {}, additive);
    const double with = held(n, known.state().coefficients, other);
    for (const double share : {without, with}) {  // to within the standard error of about 0.02 that 60 fits have
      EXPECT_GT(share, 0.85) << n;
      EXPECT_LT(share, 0.96) << n;
    }
  }
}

TEST(Surrogate, IntervalsOfTwoSamplesAndAPriorAreWide) {
  const Surrogate known = Surrogate::fit(samples_of(sampled(60, 13), 0, 0));
  const Surrogate surrogate =
      Surrogate::fit(samples_of(sampled(2, 14), 0.05, 14), {.prior = known.state().coefficients});
  for (const Architecture& a : sampled(20, 15)) {
    const Prediction p = surrogate.interval(a);
    EXPECT_TRUE(std::isfinite(p.high) && p.low <= p.value && p.value <= p.high);
    EXPECT_GT(p.high / p.value - 1, 0.05);
  }
}

TEST(Surrogate, LeftOutErrorsAreThoseOfNewSamples) {
  double inside = 0;
  double outside = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SurrogateFit quality;
    const Surrogate surrogate = Surrogate::fit(samples_of(sampled(30, seed), 0.05, seed), {}, &quality);
    inside += quality.error;
    double sum = 0;
    for (const CostSample& s : samples_of(sampled(100, seed + 50), 0.05, seed + 50)) {
      sum += std::abs(surrogate.predict(s.architecture) / s.value - 1);
    }
    outside += sum / 100;
  }
  EXPECT_NEAR(inside / outside, 1, 0.15);
}

TEST(Surrogate, ManySamplesGiveTheSameErrors) {
  // Beyond a hundred samples left-out predictions come from leverages.
  SurrogateFit few;
  SurrogateFit many;
  Surrogate::fit(samples_of(sampled(100, 4), 0.05, 4), {}, &few);
  Surrogate::fit(samples_of(sampled(400, 5), 0.05, 5), {}, &many);
  EXPECT_NEAR(many.error / few.error, 1, 0.2);
}

TEST(Surrogate, CoefficientsAreNotNegative) {
  auto samples = samples_of(sampled(40, 6), 0, 0);
  for (CostSample& s : samples) s.value = 1 / s.value;  // smaller ones take longer: no sum of such terms
  const Surrogate surrogate = Surrogate::fit(samples);
  for (const double coefficient : surrogate.state().coefficients) EXPECT_GE(coefficient, 0);
  EXPECT_GT(surrogate.state().error, 0.1);
}

TEST(Surrogate, OneAbsurdMeasurementIsLeftOut) {
  auto samples = samples_of(sampled(24, 7), 0.01, 7);
  samples[11].value *= 30;
  SurrogateFit quality;
  const Surrogate surrogate = Surrogate::fit(samples, {}, &quality);
  for (std::size_t i = 0; i < samples.size(); ++i) EXPECT_EQ(quality.outlier[i], i == 11) << i;
  for (const Architecture& a : sampled(50, 8)) EXPECT_NEAR(surrogate.predict(a) / additive(a), 1, 0.03);
  EXPECT_LT(quality.error, 0.02);
}

TEST(Surrogate, NoisySamplesCountLess) {
  auto samples = samples_of(sampled(40, 9), 0, 0);
  Random random(9);
  for (std::size_t i = 0; i < samples.size(); i += 2) {
    samples[i].value *= 1 + 0.3 * noise_of(random);
    samples[i].noise = 0.2;
  }
  double blind = 0;
  double informed = 0;
  const Surrogate with = Surrogate::fit(samples);
  for (CostSample& s : samples) s.noise = 0;
  const Surrogate without = Surrogate::fit(samples);
  for (const Architecture& a : sampled(100, 10)) {
    informed += std::abs(with.predict(a) / additive(a) - 1);
    blind += std::abs(without.predict(a) / additive(a) - 1);
  }
  EXPECT_LT(informed, 0.5 * blind);
}

TEST(Surrogate, ProductsWhereCostsDoNotAdd) {
  auto samples = samples_of(sampled(60, 11), 0, 0);
  const auto truth = [](const Architecture& a) {
    const auto t = cost_terms(a);
    return 0.1 + 1e-7 * t[index(CostTerm::layers)] * t[index(CostTerm::feed_forward)];
  };
  for (CostSample& s : samples) s.value = truth(s.architecture);
  EXPECT_GT(Surrogate::fit(samples).state().error, 0.03);
  const Surrogate pairwise = Surrogate::fit(samples, {.pairwise = true});
  EXPECT_LT(pairwise.state().error, 1e-3);
  EXPECT_EQ(pairwise.state().coefficients.size(), surrogate_feature_names(true).size());
  for (const Architecture& a : sampled(50, 12)) EXPECT_NEAR(pairwise.predict(a) / truth(a), 1, 0.01);
}

TEST(Surrogate, APriorNeedsFewSamples) {
  const Surrogate known = Surrogate::fit(samples_of(sampled(60, 13), 0, 0));
  const std::vector<double> prior(known.state().coefficients.begin(), known.state().coefficients.end());
  // The same kind of device, 1.7 times as slow, and with dearer attention.
  const auto other = [](const Architecture& a) {
    return 1.7 * (additive(a) + 1e-6 * cost_terms(a)[index(CostTerm::attention)]);
  };
  double with = 0;
  double without = 0;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    Random random(seed);
    std::vector<CostSample> samples;
    for (const Architecture& a : sampled(6, 20 + seed))
      samples.push_back({a, other(a) * (1 + 0.03 * noise_of(random))});
    const Surrogate warm = Surrogate::fit(samples, {.prior = prior});
    const Surrogate cold = Surrogate::fit(samples);
    for (const Architecture& a : sampled(100, 40 + seed)) {
      with += std::abs(warm.predict(a) / other(a) - 1) / 1000;
      without += std::abs(cold.predict(a) / other(a) - 1) / 1000;
    }
  }
  EXPECT_LT(with, 0.04);
  EXPECT_LT(with, 0.6 * without);
  std::vector<CostSample> two;
  for (const Architecture& a : sampled(2, 14)) two.push_back({a, other(a), 0.0});
  const Surrogate warm = Surrogate::fit(two, {.prior = prior});
  for (const Architecture& a : sampled(20, 15)) EXPECT_NEAR(warm.predict(a) / other(a), 1, 0.2);
}

TEST(Surrogate, TheUnitDoesNotMatter) {
  const auto samples = samples_of(sampled(30, 30), 0.05, 30);
  SurrogateFit quality;
  const Surrogate plain = Surrogate::fit(samples, {}, &quality);
  for (const double unit : {1e-90, 1e-3, 1e9, 1e90}) {
    auto other = samples;
    for (CostSample& s : other) s.value *= unit;
    SurrogateFit again;
    const Surrogate surrogate = Surrogate::fit(other, {}, &again);
    EXPECT_NEAR(again.error, quality.error, 1e-9);
    for (const Architecture& a : sampled(10, 31)) EXPECT_NEAR(surrogate.predict(a) / unit / plain.predict(a), 1, 1e-9);
  }
  // Where squares of the values are in range, intervals are the same as well.
  auto other = samples;
  for (CostSample& s : other) s.value *= 1e6;
  const Surrogate large = Surrogate::fit(other);
  for (const Architecture& a : sampled(10, 31))
    EXPECT_NEAR(large.interval(a).high / 1e6 / plain.interval(a).high, 1, 1e-9);
}

TEST(Surrogate, AFastMeasurementIsNoMistake) {
  auto samples = samples_of(sampled(24, 7), 0.01, 7);
  samples[11].value /= 3;
  SurrogateFit quality;
  Surrogate::fit(samples, {}, &quality);
  EXPECT_FALSE(quality.outlier[11]);
}

TEST(Surrogate, EqualValuesAreAConstant) {
  auto samples = samples_of(sampled(20, 15), 0, 0);
  for (CostSample& s : samples) s.value = 3;
  const Surrogate surrogate = Surrogate::fit(samples);
  for (const Architecture& a : sampled(20, 16)) EXPECT_NEAR(surrogate.predict(a), 3, 1e-6);
}

TEST(Surrogate, FewerSamplesThanTerms) {
  const Surrogate surrogate = Surrogate::fit(samples_of(sampled(4, 17), 0.01, 17));
  for (const Architecture& a : sampled(20, 18)) {
    const Prediction p = surrogate.interval(a);
    EXPECT_TRUE(std::isfinite(p.value) && p.low <= p.value && p.value <= p.high);
    EXPECT_GE(p.low, 0);
  }
}

TEST(Surrogate, WrongArguments) {
  const auto samples = samples_of(sampled(5, 19), 0, 0);
  const auto fit = [](std::vector<CostSample> s, SurrogateOptions o = {}) {
    return message_of([&] { (void)Surrogate::fit(s, o); });
  };
  EXPECT_EQ(fit({samples[0], samples[1]}), "surrogate: 2 samples; a fit needs 3 or more");
  EXPECT_EQ(fit({}, {.prior = std::vector<double>(n_cost_terms, 1.0)}), "surrogate: 0 samples; a fit needs 2 or more");
  for (const double bad : {0.0, -1.0, 1e-101, 1e101, std::nan(""), std::numeric_limits<double>::infinity()}) {
    auto wrong = samples;
    wrong[2].value = bad;
    EXPECT_EQ(fit(wrong), "surrogate: sample 2: the value must be above 0, from 1e-100 to 1e100");
  }
  auto noisy = samples;
  noisy[1].noise = -0.1;
  EXPECT_EQ(fit(noisy), "surrogate: sample 1: the noise must be finite and not negative");
  EXPECT_EQ(fit(samples, {.level = 1.0}), "surrogate: level is 1; it must be from 0.5 to 0.99");
  EXPECT_EQ(fit(samples, {.prior = {1.0}}), "surrogate: the prior has 1 coefficients; there are 11 terms");
  EXPECT_EQ(fit(samples, {.prior = std::vector<double>(n_cost_terms, -1.0)}),
            "surrogate: coefficients of the prior must be finite and not negative");
  EXPECT_EQ(fit(samples, {.prior = std::vector<double>(n_cost_terms, 0.0)}),
            "surrogate: the prior predicts no cost above 0 for any sample");
  EXPECT_EQ(fit(samples, {.pairwise = true, .prior = std::vector<double>(n_cost_terms, 1.0)}),
            "surrogate: a prior goes with additive terms, not with pairwise ones");
}

TEST(Surrogate, PredictionsAreAlwaysNumbers) {
  Surrogate::State state = Surrogate::fit(samples_of(sampled(10, 23), 0.05, 23)).state();
  const Architecture architecture = sampled(1, 24)[0];
  constexpr double most = std::numeric_limits<double>::max();
  for (const double coefficient : {0.0, 1e-300, 1e150, 1e290, most}) {
    for (const double covariance : {0.0, 1e-300, 1e290, most, -most}) {
      state.coefficients.assign(n_cost_terms, coefficient);
      state.covariance.assign(n_cost_terms * n_cost_terms, covariance);
      const Surrogate surrogate(state);
      const Prediction p = surrogate.interval(architecture);
      EXPECT_EQ(surrogate.predict(architecture), p.value);
      EXPECT_TRUE(0 <= p.low && p.low <= p.value && p.value <= p.high && p.high <= most)
          << coefficient << " " << covariance << ": " << p.low << " " << p.value << " " << p.high;
    }
  }
  state.level = 1.5;
  EXPECT_EQ(message_of([&] { const Surrogate surrogate(state); }),
            "surrogate: level is 1.500000; it must be from 0.5 to 0.99");
}

TEST(Surrogate, SurvivesItsText) {
  for (const bool pairwise : {false, true}) {
    const Surrogate surrogate = Surrogate::fit(samples_of(sampled(40, 21), 0.05, 21), {.pairwise = pairwise});
    const std::string text = to_json(surrogate.state());
    EXPECT_EQ(surrogate_from_json(text), surrogate.state());
    EXPECT_EQ(to_json(surrogate_from_json(text)), text);
  }
  const std::string text = to_json(Surrogate::fit(samples_of(sampled(10, 22), 0.05, 22)).state());
  const auto refused = [&](std::string_view from, std::string_view to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    return message_of([&] { (void)surrogate_from_json(changed); });
  };
  EXPECT_NE(refused("\"schema\":1", "\"schema\":2").find("schema"), std::string::npos);
  EXPECT_NE(refused("\"layers\"", "\"layer\"").find("layer"), std::string::npos);
  EXPECT_NE(refused("\"covariance\":[", "\"covariance\":[1,").find("covariance"), std::string::npos);
  EXPECT_NE(refused("\"constant\":", "\"constant\":-1").find("must be finite and not negative"), std::string::npos);
}

}  // namespace
}  // namespace lts
