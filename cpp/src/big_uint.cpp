#include "lts/big_uint.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "lts/error.hpp"

namespace lts {

namespace {
constexpr std::uint32_t kDecimalChunk = 1'000'000'000;  // the largest power of ten in 32 bits
constexpr std::size_t kDecimalDigits = 9;
}  // namespace

BigUint::BigUint(std::uint64_t value) {
  for (; value != 0; value >>= 32) near_[n_near_++] = static_cast<std::uint32_t>(value);
}

BigUint BigUint::from_decimal(std::string_view digits) {
  if (digits.empty()) throw_invalid({"integer: no digits; expected a decimal number such as 12345"});
  BigUint result;
  std::uint32_t chunk = 0;
  std::uint32_t scale = 1;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (digits[i] < '0' || digits[i] > '9') {
      throw_invalid({"integer '", digits, "': expected decimal digits only"});
    }
    chunk = chunk * 10 + static_cast<std::uint32_t>(digits[i] - '0');
    scale *= 10;
    if (scale < kDecimalChunk && i + 1 < digits.size()) continue;
    result *= scale;
    result += BigUint(chunk);
    chunk = 0;
    scale = 1;
  }
  return result;
}

BigUint BigUint::random_below(const BigUint& bound, Random& random) {
  if (bound.is_zero()) throw_invalid({"random integer below 0: the bound must be at least 1"});
  const auto mask = static_cast<std::uint32_t>((std::uint64_t{1} << std::bit_width(bound.limbs().back())) - 1);
  BigUint result;
  do {
    result.resize(bound.limbs().size());
    for (std::uint32_t& limb : result.limbs()) limb = static_cast<std::uint32_t>(random.next() >> 32);
    result.limbs().back() &= mask;
    result.trim();
  } while (result >= bound);
  return result;
}

std::string BigUint::to_decimal() const {
  if (is_zero()) return "0";
  std::string reversed;
  for (BigUint rest = *this; !rest.is_zero();) {
    std::uint32_t chunk = rest.divide(kDecimalChunk);
    for (std::size_t i = 0; i < kDecimalDigits && (chunk != 0 || !rest.is_zero()); ++i, chunk /= 10) {
      reversed += static_cast<char>('0' + chunk % 10);
    }
  }
  return {reversed.rbegin(), reversed.rend()};
}

std::uint64_t BigUint::low_uint64() const noexcept {
  const auto digits = limbs();
  const std::uint64_t low = digits.empty() ? 0 : digits[0];
  return digits.size() < 2 ? low : low | (std::uint64_t{digits[1]} << 32);
}

BigUint& BigUint::operator+=(const BigUint& other) {
  if (limbs().size() < other.limbs().size()) resize(other.limbs().size());
  const std::span<std::uint32_t> to = limbs();
  const std::span<const std::uint32_t> from = other.limbs();
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (i >= from.size() && carry == 0) break;
    carry += std::uint64_t{to[i]} + (i < from.size() ? from[i] : 0U);
    to[i] = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  if (carry != 0) push(static_cast<std::uint32_t>(carry));
  return *this;
}

BigUint& BigUint::operator-=(const BigUint& other) {
  if (*this < other) throw_invalid({"integer subtraction: the result would be negative"});
  const std::span<std::uint32_t> to = limbs();
  const std::span<const std::uint32_t> from = other.limbs();
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (i >= from.size() && borrow == 0) break;
    const std::uint64_t take = borrow + (i < from.size() ? from[i] : 0U);
    borrow = take > to[i] ? 1 : 0;
    to[i] = static_cast<std::uint32_t>(to[i] - take);
  }
  trim();
  return *this;
}

BigUint& BigUint::operator*=(std::uint32_t factor) {
  std::uint64_t carry = 0;
  for (std::uint32_t& limb : limbs()) {
    carry += std::uint64_t{limb} * factor;
    limb = static_cast<std::uint32_t>(carry);
    carry >>= 32;
  }
  if (carry != 0) push(static_cast<std::uint32_t>(carry));
  trim();
  return *this;
}

std::uint32_t BigUint::divide(std::uint32_t divisor) {
  if (divisor == 0) throw_invalid({"integer division by 0"});
  const std::span<std::uint32_t> digits = limbs();
  std::uint64_t remainder = 0;
  for (std::size_t i = digits.size(); i-- > 0;) {
    remainder = (remainder << 32) | digits[i];
    digits[i] = static_cast<std::uint32_t>(remainder / divisor);
    remainder %= divisor;
  }
  trim();
  return static_cast<std::uint32_t>(remainder);
}

bool operator==(const BigUint& a, const BigUint& b) noexcept { return std::ranges::equal(a.limbs(), b.limbs()); }

std::strong_ordering operator<=>(const BigUint& a, const BigUint& b) noexcept {
  const auto x = a.limbs();
  const auto y = b.limbs();
  if (x.size() != y.size()) return x.size() <=> y.size();
  return std::lexicographical_compare_three_way(x.rbegin(), x.rend(), y.rbegin(), y.rend());
}

void BigUint::resize(std::size_t size) {
  if (far_.empty() && size <= kNear) {
    for (; n_near_ < size; ++n_near_) near_[n_near_] = 0;
    n_near_ = size;
    return;
  }
  if (far_.empty()) {
    far_.reserve(size);
    far_.assign(near_.data(), near_.data() + n_near_);
    n_near_ = 0;
  }
  far_.resize(size);
}

void BigUint::push(std::uint32_t limb) {
  resize(limbs().size() + 1);
  limbs().back() = limb;
}

void BigUint::trim() noexcept {
  const auto digits = limbs();
  std::size_t size = digits.size();
  while (size > 0 && digits[size - 1] == 0) --size;
  resize(size);
}

// Two digits of 32 bits by long division: Knuth 1997, The Art of Computer Programming 2, section 4.3.1, algorithm D.
std::uint64_t fraction_of_2_64(const BigUint& part, const BigUint& whole) {
  if (part >= whole) return ~std::uint64_t{0};
  const std::uint32_t shift = std::uint32_t{1} << static_cast<unsigned>(std::countl_zero(whole.limbs().back()));
  BigUint divisor = whole;
  divisor *= shift;  // so that its highest bit is set
  BigUint remainder = part;
  remainder *= shift;
  std::vector<std::uint32_t> r(remainder.limbs().begin(), remainder.limbs().end());
  const std::span<const std::uint32_t> d = std::as_const(divisor).limbs();
  const std::size_t n = d.size();
  r.resize(n);
  std::uint64_t quotient = 0;
  for (int step = 0; step < 2; ++step) {
    r.insert(r.begin(), 0);  // times 2^32
    const std::uint64_t top = (std::uint64_t{r[n]} << 32) | r[n - 1];
    std::uint64_t digit = std::min<std::uint64_t>(top / d[n - 1], 0xFFFFFFFFU);
    // An estimate from the highest limb alone, at most 2 too large: subtract the product, then add back the excess.
    std::uint64_t carry = 0;
    std::uint64_t borrow = 0;
    for (std::size_t i = 0; i <= n; ++i) {
      carry += digit * (i < n ? d[i] : 0U);
      const std::uint64_t take = (carry & 0xFFFFFFFFU) + borrow;
      borrow = take > r[i] ? 1 : 0;
      r[i] = static_cast<std::uint32_t>(r[i] - take);
      carry >>= 32;
    }
    while (borrow != 0) {
      --digit;
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i <= n; ++i) {
        sum += std::uint64_t{r[i]} + (i < n ? d[i] : 0U);
        r[i] = static_cast<std::uint32_t>(sum);
        sum >>= 32;
      }
      borrow -= sum;  // carried out of the top: no longer below 0
    }
    r.pop_back();  // 0: the remainder is below the divisor
    quotient = (quotient << 32) | digit;
  }
  return quotient;
}

}  // namespace lts
