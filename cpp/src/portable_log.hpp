#pragma once

#include <bit>
#include <cstdint>

// Private to the core. Functions of <cmath> differ in their last bits between C libraries and processors; these do not,
// so that one seed gives one search everywhere.
namespace lts::detail {

/// The exponent e of a positive, normal number in [2^e, 2^(e+1)).
constexpr int exponent_of(double value) noexcept {
  return static_cast<int>(std::bit_cast<std::uint64_t>(value) >> 52U) - 1023;
}

/// 2^exponent, for exponents of normal numbers.
constexpr double power_of_two(int exponent) noexcept {
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52U);
}

/// Natural logarithm of a positive, normal number, to within 2 units in the last place, or 1e-16 near 1.
///
/// From m * 2^e with m in [sqrt(1/2), sqrt(2)): log m = 2 artanh((m - 1) / (m + 1)), as its series.
constexpr double portable_log(double value) noexcept {
  constexpr double log_2_high = 0x1.62e42feep-1;  // with zeros at its end, so that multiples of it are exact
  constexpr double log_2_low = 0x1.a39ef35793c76p-33;
  constexpr double sqrt_2 = 0x1.6a09e667f3bcdp+0;
  int exponent = exponent_of(value);
  double m = value * power_of_two(-exponent / 2) * power_of_two(-exponent + exponent / 2);
  if (m >= sqrt_2) {
    m /= 2;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1);
  double series = 0;
  for (int k = 21; k >= 3; k -= 2) series = (series + 1.0 / k) * (s * s);
  const double e = exponent;
  return e * log_2_high + (2 * s + (2 * s * series + e * log_2_low));
}

}  // namespace lts::detail
