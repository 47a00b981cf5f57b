#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lts/big_uint.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

/// Arithmetic on decimal digits, most significant first, as taught at school.
namespace school {

std::string trimmed(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size() - 1));
  return digits;
}

std::string padded(const std::string& digits, std::size_t size) {
  return std::string(size - digits.size(), '0') + digits;
}

std::string add(std::string a, std::string b) {
  const std::size_t size = std::max(a.size(), b.size()) + 1;
  a = padded(a, size);
  b = padded(b, size);
  int carry = 0;
  for (std::size_t i = size; i-- > 0;) {
    const int sum = (a[i] - '0') + (b[i] - '0') + carry;
    a[i] = static_cast<char>('0' + sum % 10);
    carry = sum / 10;
  }
  return trimmed(a);
}

std::string subtract(std::string a, std::string b) {
  b = padded(b, a.size());
  int borrow = 0;
  for (std::size_t i = a.size(); i-- > 0;) {
    const int difference = (a[i] - '0') - (b[i] - '0') - borrow;
    borrow = difference < 0 ? 1 : 0;
    a[i] = static_cast<char>('0' + difference + 10 * borrow);
  }
  return trimmed(a);
}

std::string multiply(const std::string& a, std::uint32_t factor) {
  std::string reversed;
  std::uint64_t carry = 0;
  for (std::size_t i = a.size(); i-- > 0;) {
    carry += std::uint64_t{factor} * static_cast<std::uint64_t>(a[i] - '0');
    reversed += static_cast<char>('0' + static_cast<int>(carry % 10));
    carry /= 10;
  }
  return trimmed(std::to_string(carry) + std::string(reversed.rbegin(), reversed.rend()));
}

std::pair<std::string, std::uint64_t> divide(std::string a, std::uint64_t divisor) {
  std::uint64_t rest = 0;
  for (char& digit : a) {
    rest = rest * 10 + static_cast<std::uint64_t>(digit - '0');
    digit = static_cast<char>('0' + static_cast<int>(rest / divisor));
    rest %= divisor;
  }
  return {trimmed(a), rest};
}

bool less(const std::string& a, const std::string& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; }

std::string random_digits(Random& random, std::uint32_t max_size) {
  std::string digits(1 + random.below(max_size), '0');
  for (char& digit : digits) digit = static_cast<char>('0' + static_cast<int>(random.below(10)));
  if (random.below(8) == 0) std::fill(digits.begin(), digits.end(), '9');
  return trimmed(digits);
}

}  // namespace school

TEST(BigUint, SmallValues) {
  EXPECT_TRUE(BigUint().is_zero());
  EXPECT_TRUE(BigUint(0).is_zero());
  EXPECT_EQ(BigUint(), BigUint(0));
  EXPECT_EQ(BigUint().to_decimal(), "0");
  EXPECT_EQ(BigUint(1).to_decimal(), "1");
  EXPECT_EQ(BigUint(1'000'000'000).to_decimal(), "1000000000");
  EXPECT_EQ(BigUint(1'000'000'001).to_decimal(), "1000000001");
  EXPECT_EQ(BigUint(~std::uint64_t{0}).to_decimal(), "18446744073709551615");
  EXPECT_FALSE(BigUint(1).is_zero());
  EXPECT_TRUE(BigUint(~std::uint64_t{0}).fits_uint64());
  EXPECT_FALSE((BigUint(~std::uint64_t{0}) + BigUint(1)).fits_uint64());
  EXPECT_EQ((BigUint(~std::uint64_t{0}) + BigUint(8)).low_uint64(), 7U);
  EXPECT_EQ((BigUint(~std::uint64_t{0}) + BigUint(1)).to_decimal(), "18446744073709551616");
}

TEST(BigUint, AgreesWithSchoolArithmetic) {
  Random random(2);
  for (int i = 0; i < 3'000; ++i) {
    const std::string a = school::random_digits(random, 120);
    const std::string b = school::random_digits(random, 120);
    const BigUint x = BigUint::from_decimal(a);
    const BigUint y = BigUint::from_decimal(b);
    ASSERT_EQ(x.to_decimal(), a);
    ASSERT_EQ((x + y).to_decimal(), school::add(a, b));
    ASSERT_EQ((x + y) - y, x);
    ASSERT_EQ(x < y, school::less(a, b));
    if (school::less(a, b)) {
      ASSERT_EQ((y - x).to_decimal(), school::subtract(b, a));
    } else {
      ASSERT_EQ((x - y).to_decimal(), school::subtract(a, b));
    }
    const auto factor = static_cast<std::uint32_t>(random.next() >> (32 + random.below(32)));
    BigUint product = x;
    product *= factor;
    ASSERT_EQ(product.to_decimal(), school::multiply(a, factor));
    if (factor == 0) continue;
    BigUint quotient = x;
    const std::uint32_t remainder = quotient.divide(factor);
    const auto [expected_quotient, expected_remainder] = school::divide(a, factor);
    ASSERT_EQ(quotient.to_decimal(), expected_quotient);
    ASSERT_EQ(remainder, expected_remainder);
  }
}

TEST(BigUint, OperandsMayBeTheSameObject) {
  BigUint x = BigUint::from_decimal("340282366920938463463374607431768211455");  // 2^128 - 1
  const BigUint& same = x;
  x += same;
  EXPECT_EQ(x.to_decimal(), "680564733841876926926749214863536422910");
  x -= same;
  EXPECT_TRUE(x.is_zero());
}

TEST(BigUint, LeadingZerosDoNotMatter) {
  EXPECT_EQ(BigUint::from_decimal("000"), BigUint());
  EXPECT_EQ(BigUint::from_decimal("00018446744073709551616").to_decimal(), "18446744073709551616");
  BigUint x = BigUint::from_decimal("123456789012345678901234567890");
  x *= 0;
  EXPECT_EQ(x, BigUint());
}

TEST(BigUint, RejectsWhatHasNoAnswer) {
  using oracle::message_of;
  EXPECT_EQ(message_of([] { (void)BigUint::from_decimal(""); }),
            "integer: no digits; expected a decimal number such as 12345");
  for (const char* text : {"-1", "+1", " 1", "1 ", "0x10", "1e3", "12a"}) {
    EXPECT_EQ(message_of([&] { (void)BigUint::from_decimal(text); }),
              std::string("integer '") + text + "': expected decimal digits only");
  }
  EXPECT_EQ(message_of([] { (void)(BigUint(1) - BigUint(2)); }), "integer subtraction: the result would be negative");
  EXPECT_EQ(message_of([] { (void)BigUint(1).divide(0); }), "integer division by 0");
  Random random(0);
  EXPECT_EQ(message_of([&] { (void)BigUint::random_below(BigUint(), random); }),
            "random integer below 0: the bound must be at least 1");
}

TEST(BigUint, AFailedSubtractionChangesNothing) {
  BigUint x(5);
  EXPECT_THROW(x -= BigUint(6), std::invalid_argument);
  EXPECT_EQ(x, BigUint(5));
}

TEST(BigUint, RandomBelowIsUniform) {
  Random random(3);
  for (const std::size_t bound : {2U, 5U, 64U, 100U}) {
    constexpr int draws = 50'000;
    std::vector<double> counts(bound, 0.0);
    for (int i = 0; i < draws; ++i)
      ++counts.at(static_cast<std::size_t>(BigUint::random_below(bound, random).low_uint64()));
    const std::vector<double> expected(bound, static_cast<double>(draws) / static_cast<double>(bound));
    EXPECT_LT(oracle::chi_square_deviation(counts, expected), 4.0) << bound;
  }
}

TEST(BigUint, RandomBelowIsUniformOverManyLimbs) {
  Random random(4);
  const std::string tenth = "1" + std::string(53, '0');
  BigUint bound = BigUint::from_decimal(tenth);
  bound *= 10;
  constexpr int draws = 20'000;
  std::vector<double> high(10, 0.0);
  std::vector<double> low(7, 0.0);
  for (int i = 0; i < draws; ++i) {
    BigUint value = BigUint::random_below(bound, random);
    ASSERT_LT(value, bound);
    const std::string digits = value.to_decimal();
    ++high[digits.size() == 54 ? static_cast<std::size_t>(digits.front() - '0') : 0];
    ++low[value.divide(7)];
  }
  EXPECT_LT(oracle::chi_square_deviation(high, std::vector<double>(10, draws / 10.0)), 4.0);
  EXPECT_LT(oracle::chi_square_deviation(low, std::vector<double>(7, draws / 7.0)), 4.0);
}

TEST(BigUint, RandomBelowTriesAgainAboveTheBound) {
  Random random(5);
  const BigUint bound = BigUint(~std::uint64_t{0}) + BigUint(3);  // 2^64 + 2: half of the 65-bit draws are too large
  std::vector<double> halves(2, 0.0);
  for (int i = 0; i < 2000; ++i) {
    const BigUint value = BigUint::random_below(bound, random);
    ASSERT_LT(value, bound);
    ++halves[value.low_uint64() >> 63 == 0 ? 0 : 1];
  }
  EXPECT_LT(oracle::chi_square_deviation(halves, {1000.0, 1000.0}), 4.0);
  EXPECT_EQ(BigUint::random_below(BigUint(1), random), BigUint());
}

TEST(BigUint, FractionIsTheFloorOfTheQuotient) {
  EXPECT_EQ(fraction_of_2_64(BigUint(7), BigUint(7)), ~std::uint64_t{0});
  EXPECT_EQ(fraction_of_2_64(BigUint(), BigUint(7)), 0U);
  const BigUint huge = BigUint::from_decimal("23860986580673728820010483354466658055");
  BigUint half = huge;
  half.divide(2);
  EXPECT_EQ(fraction_of_2_64(half, huge), (std::uint64_t{1} << 63) - 1);  // an odd number halved, rounded down
}

TEST(BigUint, FractionOfLongNumbersIsThatOfDoubling) {
  Random random(7);
  const auto number = [&random](std::uint32_t n_words) {
    BigUint result;
    for (std::uint32_t i = 0; i < n_words; ++i) {
      for (int k = 0; k < 2; ++k) result *= 1U << 16U;
      // Words of all zeros or ones are what long division gets wrong.
      const std::uint32_t kind = random.below(4);
      result += BigUint(kind == 0 ? 0 : kind == 1 ? 0xFFFFFFFFU : random.next() >> 32U);
    }
    return result;
  };
  for (int i = 0; i < 20'000; ++i) {
    const BigUint whole = number(1 + random.below(6));
    BigUint part = number(1 + random.below(6));
    if (whole.is_zero()) continue;
    if (i % 3 == 0 && part < whole) part = whole - BigUint(1);
    if (part >= whole) {
      ASSERT_EQ(fraction_of_2_64(part, whole), ~std::uint64_t{0});
      continue;
    }
    std::uint64_t expected = 0;
    BigUint rest = part;
    for (int bit = 0; bit < 64; ++bit) {
      rest *= 2;
      expected <<= 1U;
      if (rest < whole) continue;
      rest -= whole;
      expected |= 1U;
    }
    ASSERT_EQ(fraction_of_2_64(part, whole), expected) << part.to_decimal() << " / " << whole.to_decimal();
  }
}

#ifdef __SIZEOF_INT128__  // 64-bit machines have it

__extension__ using U128 = unsigned __int128;

std::string decimal(U128 value) {
  std::string reversed;
  do reversed += static_cast<char>('0' + static_cast<int>(value % 10));
  while ((value /= 10) != 0);
  return {reversed.rbegin(), reversed.rend()};
}

/// By Horner's rule over 16-bit pieces, so that no constructor of more than 64 bits is needed.
BigUint big(U128 value) {
  BigUint result;
  for (int shift = 112; shift >= 0; shift -= 16) {
    result *= 0x10000U;
    result += BigUint(static_cast<std::uint64_t>((value >> shift) & 0xFFFF));
  }
  return result;
}

/// Random values with lengths and bit patterns where carries happen.
U128 random_u128(Random& random, std::uint32_t max_bits = 128) {
  U128 value = (static_cast<U128>(random.next()) << 64) | random.next();
  switch (random.below(4)) {
    case 0:
      value = ~U128{0};
      break;
    case 1:
      value = U128{1} << random.below(128);
      break;
    default:
      break;
  }
  const std::uint32_t bits = random.below(max_bits + 1);
  if (bits < 128) value &= (U128{1} << bits) - 1;
  if (random.below(4) == 0 && value > 0) --value;
  return value;
}

TEST(BigUint, AgreesWith128Bits) {
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    const U128 a = random_u128(random, 127);
    const U128 b = random_u128(random, 127);
    const BigUint x = big(a);
    const BigUint y = big(b);
    ASSERT_EQ(x.to_decimal(), decimal(a));
    ASSERT_EQ(BigUint::from_decimal(decimal(a)), x);
    ASSERT_EQ(x.low_uint64(), static_cast<std::uint64_t>(a));
    ASSERT_EQ(x.fits_uint64(), a >> 64 == 0);
    ASSERT_EQ(x.is_zero(), a == 0);
    ASSERT_EQ((x + y).to_decimal(), decimal(a + b));
    ASSERT_EQ(x < y, a < b);
    ASSERT_EQ(x <= y, a <= b);
    ASSERT_EQ(x == y, a == b);
    ASSERT_EQ((x <=> y) == std::strong_ordering::greater, a > b);
    ASSERT_EQ(a >= b ? x - y : y - x, big(a >= b ? a - b : b - a));
    const auto small = static_cast<std::uint32_t>(random_u128(random, 32));
    const U128 c = a & ((U128{1} << 96) - 1);
    BigUint product = big(c);
    product *= small;
    ASSERT_EQ(product.to_decimal(), decimal(c * small));
    if (small != 0) {
      BigUint quotient = x;
      ASSERT_EQ(quotient.divide(small), static_cast<std::uint32_t>(a % small));
      ASSERT_EQ(quotient, big(a / small));
    }
  }
}

TEST(BigUint, FractionAgreesWith128Bits) {
  Random random(6);
  for (int i = 0; i < 10'000; ++i) {
    const auto whole = static_cast<std::uint64_t>(random_u128(random, 64)) | 1U;
    const std::uint64_t part = random.next() % whole;
    ASSERT_EQ(fraction_of_2_64(BigUint(part), BigUint(whole)),
              static_cast<std::uint64_t>((static_cast<U128>(part) << 64) / whole));
  }
}

#endif

}  // namespace
}  // namespace lts
