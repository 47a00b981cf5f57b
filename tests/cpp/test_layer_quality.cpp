#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cost_fixture.hpp"
#include "lts/json.hpp"
#include "lts/layer_quality.hpp"
#include "message.hpp"

namespace lts {
namespace {

using fixture::noise_of;
using fixture::sampled;
using oracle::message_of;

constexpr std::int64_t kDeepest = 8;

/// What a super-network might say: wide early feed-forward networks and late attention help.
double quality_of(const Architecture& a) {
  const auto terms = quality_terms(a, kDeepest);
  return 40 + 0.5 * terms[4] - 1.5 * terms[6] - 0.2 * terms[5] + 0.3 * terms[7] - terms[12];
}

std::vector<QualitySample> evaluated(std::size_t n, double noise, std::uint64_t seed) {
  Random random(seed);
  std::vector<QualitySample> samples;
  for (const Architecture& a : sampled(n, seed)) samples.push_back({a, quality_of(a) + noise * noise_of(random)});
  return samples;
}

TEST(LayerQuality, FindsWhatIsInItsForm) {
  const LayerQuality model = LayerQuality::fit(evaluated(60, 0, 1), {.n_layer = kDeepest});
  for (const QualitySample& fresh : evaluated(200, 0, 2))
    EXPECT_NEAR(model.predict(fresh.architecture), fresh.value, 0.02);
  EXPECT_LT(model.state().error, 1e-3);
}

TEST(LayerQuality, SaysWhatItPredictsOfEachSampleFromTheOthers) {
  const std::vector<QualitySample> samples = evaluated(30, 0.5, 3);
  std::vector<double> left_out;
  const LayerQuality model = LayerQuality::fit(samples, {}, &left_out);
  ASSERT_EQ(left_out.size(), samples.size());
  double error = 0;
  double sum = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    // A left-out sample is predicted worse than by the fit that has seen it.
    EXPECT_GE(std::abs(left_out[i] - samples[i].value),
              std::abs(model.predict(samples[i].architecture) - samples[i].value));
    error += std::abs(left_out[i] - samples[i].value);
    sum += samples[i].value;
  }
  EXPECT_NEAR(model.state().error, error / sum, 1e-12);
}

TEST(LayerQuality, IntervalsHoldWhatTheySay) {
  std::size_t inside = 0;
  std::size_t all = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const LayerQuality model = LayerQuality::fit(evaluated(40, 0.5, seed), {.n_layer = kDeepest});
    for (const QualitySample& fresh : evaluated(100, 0.5, 100 + seed)) {
      const Prediction p = model.interval(fresh.architecture);
      EXPECT_EQ(p.value, model.predict(fresh.architecture));
      inside += p.low <= fresh.value && fresh.value <= p.high ? 1 : 0;
      ++all;
    }
  }
  EXPECT_GT(static_cast<double>(inside) / static_cast<double>(all), 0.84);
  EXPECT_LT(static_cast<double>(inside) / static_cast<double>(all), 0.96);
}

TEST(LayerQuality, OneArchitectureManyTimes) {
  const Architecture a = sampled(1, 4).front();
  const std::vector<QualitySample> samples{{a, 1.0}, {a, 2.0}, {a, 3.0}, {a, 2.0}};
  const LayerQuality model = LayerQuality::fit(samples);
  EXPECT_DOUBLE_EQ(model.predict(a), 2.0);
  EXPECT_DOUBLE_EQ(model.predict(sampled(1, 5).front()), 2.0);  // nothing varies, so nothing is told apart
  EXPECT_GT(model.interval(a).high, 2.0);
}

TEST(LayerQuality, SurvivesAsText) {
  const LayerQuality model = LayerQuality::fit(evaluated(12, 0.1, 6), {.level = 0.8});
  const std::string text = to_json(model.state());
  EXPECT_EQ(layer_quality_from_json(text), model.state());
  EXPECT_EQ(to_json(layer_quality_from_json(text)), text);
}

TEST(LayerQuality, RefusesWhatCannotBeFitted) {
  const auto refused = [](std::vector<QualitySample> samples, const LayerQualityOptions& options = {}) {
    return message_of([&] { (void)LayerQuality::fit(samples, options); });
  };
  std::vector<QualitySample> samples = evaluated(5, 0, 7);
  EXPECT_EQ(refused({samples.begin(), samples.begin() + 3}), "layer quality: a fit needs at least 4 samples, got 3");
  EXPECT_NE(refused(samples, {.level = 1.0}).find("from 0.5 to 0.99"), std::string::npos);
  EXPECT_NE(refused(samples, {.n_layer = -1}).find("n_layer is -1"), std::string::npos);
  for (const double wrong : {std::nan(""), std::numeric_limits<double>::infinity(), 1e101}) {
    samples[2].value = wrong;
    EXPECT_NE(refused(samples).find("values[2] is "), std::string::npos);
  }
  for (QualitySample& sample : samples) sample.value = 0;
  EXPECT_NE(refused(samples).find("mean 0"), std::string::npos);
}

TEST(LayerQuality, RefusesAStateThatContradictsItself) {
  const LayerQuality::State good = LayerQuality::fit(evaluated(12, 0.1, 8)).state();
  const auto refused = [&](auto change) {
    LayerQuality::State state = good;
    change(state);
    return message_of([&] { (void)LayerQuality(state); });
  };
  EXPECT_NE(refused([](auto& s) { s.coefficients.pop_back(); }).find("16 coefficients"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.covariance[3] = std::nan(""); }).find("from -1e150 to 1e150"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.quantile = -1; }).find("from 0 to 1e150"), std::string::npos);
  EXPECT_NE(refused([](auto& s) { s.level = 0; }).find("level"), std::string::npos);
}

}  // namespace
}  // namespace lts
