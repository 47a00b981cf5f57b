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

/// Natural logarithm of a positive, normal number, to within 0.6 units in the last place where tested from 1 on.
///
/// The value is m * 2^e with m in [sqrt(1/2), sqrt(2)), and log m = 2 artanh((m - 1) / (m + 1)), a series in two sums
/// that are computed side by side. Without branches.
constexpr double portable_log(double value) noexcept {
  constexpr double log_2_high = 0x1.62e42feep-1;  // with zeros at its end, so that multiples of it are exact
  constexpr double log_2_low = 0x1.a39ef35793c76p-33;
  constexpr auto lowest = std::bit_cast<std::int64_t>(0x1.6a09e667f3bcdp-1);  // sqrt(1/2)
  constexpr int fraction_bits = 52;
  const auto bits = std::bit_cast<std::int64_t>(value);
  const std::int64_t exponent = (bits - lowest) >> fraction_bits;
  const auto m = std::bit_cast<double>(bits - exponent * (std::int64_t{1} << fraction_bits));
  const double s = (m - 1) / (m + 1);
  const double z = s * s;
  const double w = z * z;
  const double odd = z * (1.0 / 3 + w * (1.0 / 7 + w * (1.0 / 11 + w * (1.0 / 15 + w * (1.0 / 19)))));
  const double even = w * (1.0 / 5 + w * (1.0 / 9 + w * (1.0 / 13 + w * (1.0 / 17 + w * (1.0 / 21)))));
  const auto e = static_cast<double>(exponent);
  return e * log_2_high + (2 * s + (2 * s * (odd + even) + e * log_2_low));
}

}  // namespace lts::detail
