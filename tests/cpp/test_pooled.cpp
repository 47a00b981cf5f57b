#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cost_fixture.hpp"
#include "lts/pooled.hpp"
#include "message.hpp"

namespace lts {
namespace {

using fixture::additive;
using fixture::index;
using fixture::noise_of;
using fixture::sampled;
using oracle::message_of;

using Samples = std::vector<CostSample>;

/// A device of the same kind: `unit` times as slow, and its attention dearer or cheaper by a share.
double on_device(const Architecture& a, double unit, double attention) {
  return unit * (additive(a) + attention * 3e-6 * cost_terms(a)[index(CostTerm::attention)]);
}

Samples measured(std::span<const Architecture> architectures, double unit, double attention, double noise,
                 std::uint64_t seed) {
  Random random(seed);
  Samples samples;
  for (const Architecture& a : architectures) {
    samples.push_back({a, on_device(a, unit, attention) * (1 + noise * noise_of(random)), 0.0});
  }
  return samples;
}

/// Devices of which the costs are exactly proportional, measured without noise.
std::vector<Samples> proportional() {
  return {measured(sampled(20, 1), 1, 0, 0, 1), measured(sampled(16, 2), 40, 0, 0, 2),
          measured(sampled(24, 3), 1e-3, 0, 0, 3)};
}

double mean_cost(std::span<const Samples> devices, const Surrogate& surrogate) {
  double sum = 0;
  double n = 0;
  for (const Samples& samples : devices) {
    for (const CostSample& s : samples) {
      sum += surrogate.predict(s.architecture);
      ++n;
    }
  }
  return sum / n;
}

TEST(Pooled, ProportionalDevicesShareEverything) {
  auto devices = proportional();
  devices.emplace_back();                                                           // without samples
  devices.push_back({{sampled(1, 9)[0], on_device(sampled(1, 9)[0], 7, 0), 0.0}});  // with one
  devices.push_back(measured(sampled(2, 10), 0.2, 0, 0, 10));
  const Pooled pooled = fit_pooled(devices);
  EXPECT_NEAR(mean_cost(devices, pooled.unmeasured), 1, 1e-9);
  ASSERT_EQ(pooled.devices.size(), 6U);
  const double units[] = {1, 40, 1e-3, 0, 7, 0.2};
  const double first = additive(sampled(1, 30)[0]);
  for (const Architecture& a : sampled(30, 30)) {
    for (const std::size_t d : {0U, 1U, 2U, 4U, 5U}) {
      EXPECT_NEAR(pooled.devices[d].surrogate.predict(a) / (units[d] * additive(a)), 1, 1e-6) << d;
    }
    for (const Surrogate* relative : {&pooled.unmeasured, &pooled.devices[3].surrogate}) {
      EXPECT_NEAR(relative->predict(a) / relative->predict(sampled(1, 30)[0]), additive(a) / first, 1e-6);
    }
  }
  EXPECT_LT(pooled.unmeasured.state().quantile, 1e-6);
}

TEST(Pooled, SaysWhatTheOthersMakeOfADevice) {
  auto devices = proportional();
  devices[1][3].value *= 1.5;
  const Pooled pooled = fit_pooled(devices);
  const PooledDevice& device = pooled.devices[1];
  ASSERT_EQ(device.from_others.size(), 16U);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_NEAR(device.from_others[i] / devices[1][i].value, i == 3 ? 1 / 1.5 : 1.0, 1e-6) << i;
  }
  EXPECT_NEAR(device.error_from_others, (1 - 1 / 1.5) / 16, 1e-6);
  EXPECT_NEAR(pooled.devices[0].error_from_others, 0, 0.05);
}

TEST(Pooled, WhatOthersShareHasNothingOfTheDeviceItself) {
  const auto devices = proportional();
  auto changed = devices;
  for (CostSample& s : changed[0]) s.value = on_device(s.architecture, 1, 5);
  EXPECT_EQ(fit_pooled(devices).devices[0].prior, fit_pooled(devices).devices[0].prior);
  // Terms differ in how they are normalized only, which is by the architectures.
  EXPECT_EQ(fit_pooled(devices).devices[0].prior, fit_pooled(changed).devices[0].prior);
  EXPECT_NE(fit_pooled(devices).devices[1].prior, fit_pooled(changed).devices[1].prior);
}

/// Mean errors of other architectures, of a device of some samples among four with 12 each and much noise.
double error_with(std::size_t n_own) {
  double error = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    std::vector<Samples> devices;
    const auto design = sampled(12, 100 + seed);
    for (const double attention : {-0.5, -0.2, 0.2, 0.5}) {
      devices.push_back(measured(design, 1 + attention, attention, 0.1, seed * 10 + devices.size()));
    }
    devices.push_back(measured(std::span(design).first(n_own), 3, 0.9, 0.02, seed));
    const Surrogate fitted = fit_pooled(devices).devices.back().surrogate;
    const auto others = sampled(100, 200 + seed);
    double unit = 1;
    if (n_own == 0) {
      unit = 0;
      for (const Architecture& a : others) unit += on_device(a, 3, 0.9) / fitted.predict(a) / 100;
    }
    for (const Architecture& a : others) error += std::abs(unit * fitted.predict(a) / on_device(a, 3, 0.9) - 1) / 500;
  }
  return error;
}

TEST(Pooled, AFewSamplesOfItsOwnHelpADevice) {
  const double none = error_with(0);
  const double few = error_with(5);
  const double many = error_with(12);
  EXPECT_LT(none, 0.15);
  EXPECT_LT(few, none);
  EXPECT_LT(many, 0.7 * none);
}

TEST(Pooled, IntervalsOfADeviceWithoutSamplesHoldWhatTheyPromise) {
  double inside = 0;
  double n = 0;
  constexpr std::uint64_t fleets = 25;
  for (std::uint64_t seed = 0; seed < fleets; ++seed) {
    Random random(seed);
    const auto design = sampled(12, 300 + seed);
    std::vector<Samples> devices;
    for (std::uint64_t d = 0; d < 6; ++d) {
      devices.push_back(measured(design, 1 + 10 * random.uniform(), 0.9 * noise_of(random), 0.05, 100 * seed + d));
    }
    const Surrogate relative = fit_pooled(devices).unmeasured;
    const double attention = 0.9 * noise_of(random);
    const auto fresh = measured(sampled(60, 400 + seed), 5, attention, 0.05, seed);
    std::vector<double> ratios;
    for (const CostSample& s : fresh) ratios.push_back(s.value / relative.predict(s.architecture));
    std::sort(ratios.begin(), ratios.end());
    const Surrogate in_unit = scaled(relative, ratios[30]);
    for (const CostSample& s : fresh) {
      const Prediction p = in_unit.interval(s.architecture);
      inside += p.low <= s.value && s.value <= p.high ? 1 : 0;
      ++n;
    }
  }
  EXPECT_GT(inside / n, 0.85);
  EXPECT_LT(inside / n, 0.95);
}

TEST(Pooled, OneDeviceSaysNothingOfHowDevicesDiffer) {
  const auto devices = proportional();
  const Pooled pooled = fit_pooled(std::span(devices).first(1));
  const Surrogate alone = Surrogate::fit(devices[0]);
  EXPECT_EQ(pooled.devices[0].surrogate.state(), alone.state());
  EXPECT_TRUE(pooled.devices[0].prior.empty());
  EXPECT_TRUE(pooled.devices[0].from_others.empty());
  const Prediction p = pooled.unmeasured.interval(devices[0][0].architecture);
  EXPECT_EQ(p.low, 0);
  EXPECT_EQ(p.high, std::numeric_limits<double>::max());
}

TEST(Pooled, TheUnitsDoNotMatter) {
  const auto devices = proportional();
  auto others = devices;
  for (CostSample& s : others[0]) s.value *= 0x1p200;
  for (CostSample& s : others[1]) s.value *= 0x1p-200;
  const Pooled a = fit_pooled(devices);
  const Pooled b = fit_pooled(others);
  for (const Architecture& each : sampled(10, 5)) {
    EXPECT_NEAR(a.unmeasured.predict(each) / b.unmeasured.predict(each), 1, 1e-12);
    EXPECT_NEAR(b.devices[0].surrogate.predict(each) / a.devices[0].surrogate.predict(each) / 0x1p200, 1, 1e-12);
  }
}

TEST(Pooled, ScaledHasTheSameRelativeIntervals) {
  const auto devices = proportional();
  const Surrogate fitted = Surrogate::fit(devices[0]);
  const Surrogate twice = scaled(fitted, 2);
  for (const Architecture& a : sampled(5, 6)) {
    EXPECT_DOUBLE_EQ(twice.predict(a), 2 * fitted.predict(a));
    EXPECT_DOUBLE_EQ(twice.interval(a).high, 2 * fitted.interval(a).high);
  }
}

TEST(Pooled, WrongArgumentsThrow) {
  const auto fit = [](const std::vector<Samples>& devices, double level = 0.9) {
    return message_of([&] { fit_pooled(devices, level); });
  };
  EXPECT_EQ(fit({}), "pooled: no device has 3 samples or more");
  EXPECT_EQ(fit({measured(sampled(2, 1), 1, 0, 0, 1), {}}), "pooled: no device has 3 samples or more");
  auto devices = proportional();
  EXPECT_EQ(fit(devices, 0.4), "surrogate: level is 0.4; it must be from 0.5 to 0.99");
  devices[1][2].value = 0;
  EXPECT_EQ(fit(devices), "pooled: device 1, sample 2: the value must be above 0, from 1e-100 to 1e100");
  devices[1] = {{devices[0][0].architecture, -1.0, 0.0}};
  EXPECT_EQ(fit(devices), "pooled: device 1, sample 0: the value must be above 0, from 1e-100 to 1e100");
  const Surrogate fitted = Surrogate::fit(devices[0]);
  EXPECT_EQ(message_of([&] { static_cast<void>(scaled(fitted, 0)); }),
            "surrogate: the factor is 0; it must be from 1e-150 to 1e150");
}

}  // namespace
}  // namespace lts
