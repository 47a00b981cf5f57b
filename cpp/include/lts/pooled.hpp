#pragma once

#include <span>
#include <vector>

#include "lts/surrogate.hpp"

namespace lts {

/// What one of several devices costs.
struct PooledDevice {
  /// Fitted to the device's own samples, drawn towards `prior`; with fewer than 5, intervals are no narrower than those
  /// of `unmeasured`. With fewer than 2 what the others share, in the unit of the one sample; without any, relative.
  Surrogate surrogate;
  SurrogateFit quality;  ///< empty with fewer than 2 samples
  /// Coefficients that the others share, relative; empty when no other device has 3 samples.
  std::vector<double> prior;
  /// The device's samples as the others predict them, in its unit (median ratio); empty without `prior`.
  std::vector<double> from_others;
  double error_from_others = 0.0;  ///< mean of |prediction / value - 1| of these
};

/// What the costs of several devices have in common.
///
/// Costs of one kind on different devices are nearly proportional. A device's coefficients are relative when the mean
/// of the costs that they predict is 1, over the architectures of all samples; what devices share is the mean of
/// theirs, each counted by its samples up to the number of terms. They come from fits drawn once towards the mean of
/// the others' own fits. The interval of a device without samples is conformal: the quantile of the errors of
/// predicting every device from the others, without anything of its own but the scale.
struct Pooled {
  Surrogate unmeasured;               ///< relative costs of a device without samples; coefficients are what is shared
  std::vector<PooledDevice> devices;  ///< in the order in which they were given
};

/// Fits all devices at once, each to its samples and to what the others share; their units and architectures may
/// differ. O(d^2) fits for d devices. With a single fitted device, nothing is known of how devices differ, and
/// intervals of others are unbounded.
/// @throws std::invalid_argument: no device with 3 samples or more, one of 2 samples without another of 3; what
/// `Surrogate::fit` refuses.
Pooled fit_pooled(std::span<const std::vector<CostSample>> devices, double level = 0.9);

/// The same costs in another unit: `factor` times, from 1e-150 to 1e150. Intervals are as wide, relatively.
/// @throws std::invalid_argument for another factor.
Surrogate scaled(const Surrogate& surrogate, double factor);

}  // namespace lts
