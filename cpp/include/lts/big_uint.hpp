#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lts/random.hpp"

namespace lts {

/// Unsigned integer of any length: the size of a search space (10^57 and more) and the index of an architecture.
/// Below 2^256, about 10^77, nothing is allocated.
class BigUint {
 public:
  BigUint() = default;
  BigUint(std::uint64_t value);  // NOLINT(google-explicit-constructor): a number is a number

  /// From decimal digits. @throws std::invalid_argument when empty or when a character is not a digit.
  static BigUint from_decimal(std::string_view digits);

  /// Uniform in [0, bound). @throws std::invalid_argument when bound is 0.
  static BigUint random_below(const BigUint& bound, Random& random);

  [[nodiscard]] std::string to_decimal() const;
  [[nodiscard]] bool is_zero() const noexcept { return limbs().empty(); }
  [[nodiscard]] bool fits_uint64() const noexcept { return limbs().size() <= 2; }
  /// The value modulo 2^64.
  [[nodiscard]] std::uint64_t low_uint64() const noexcept;
  /// Number of 32-bit words that hold it.
  [[nodiscard]] std::size_t n_words() const noexcept { return limbs().size(); }

  BigUint& operator+=(const BigUint& other);
  /// @throws std::invalid_argument when other is greater.
  BigUint& operator-=(const BigUint& other);
  BigUint& operator*=(std::uint32_t factor);
  /// Divides in place and returns the remainder. @throws std::invalid_argument when divisor is 0.
  std::uint32_t divide(std::uint32_t divisor);

  friend BigUint operator+(BigUint a, const BigUint& b) { return a += b; }
  friend BigUint operator-(BigUint a, const BigUint& b) { return a -= b; }
  friend bool operator==(const BigUint& a, const BigUint& b) noexcept;
  friend std::strong_ordering operator<=>(const BigUint& a, const BigUint& b) noexcept;
  friend std::uint64_t fraction_of_2_64(const BigUint& part, const BigUint& whole);

 private:
  static constexpr std::size_t kNear = 8;

  // Least significant first, no leading zeros.
  [[nodiscard]] std::span<std::uint32_t> limbs() noexcept {
    return far_.empty() ? std::span(near_).first(n_near_) : std::span(far_);
  }
  [[nodiscard]] std::span<const std::uint32_t> limbs() const noexcept {
    return far_.empty() ? std::span(near_).first(n_near_) : std::span(far_);
  }
  /// New limbs are 0.
  void resize(std::size_t size);
  void push(std::uint32_t limb);
  void trim() noexcept;

  std::array<std::uint32_t, kNear> near_{};
  std::size_t n_near_ = 0;
  std::vector<std::uint32_t> far_;  // all limbs, once there were too many for `near_`
};

/// floor(2^64 * part / whole) for part < whole, saturated to 2^64 - 1 for part == whole: a sampling threshold.
std::uint64_t fraction_of_2_64(const BigUint& part, const BigUint& whole);

}  // namespace lts
