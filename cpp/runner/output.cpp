#include "output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "error.hpp"
#include "lines.hpp"

namespace lts::runner {

namespace {

constexpr std::size_t kPiece = 16384;

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

template <class T>
T item(std::span<const std::byte> bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

double number(const Output& output, std::size_t i) {
  switch (output.dtype) {
    case DType::float32:
      return item<float>(output.bytes, i);
    case DType::float16:
      return half_to_float(item<std::uint16_t>(output.bytes, i));
    case DType::int64:
      return static_cast<double>(item<std::int64_t>(output.bytes, i));
    case DType::int32:
      return item<std::int32_t>(output.bytes, i);
    case DType::int8:
      return item<std::int8_t>(output.bytes, i);
    case DType::uint8:
    case DType::boolean:
      return item<std::uint8_t>(output.bytes, i);
  }
  return 0;
}

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t crc = ~0U;
  for (const auto byte : bytes) crc = (crc >> 8U) ^ kCrcTable[(crc ^ static_cast<std::uint32_t>(byte)) & 0xFFU];
  return ~crc;
}

std::string hexadecimal(std::uint32_t number) {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", number);
  return text.data();
}

float half_to_float(std::uint16_t bits) {
  const bool negative = (bits & 0x8000U) != 0;
  const unsigned exponent = (bits >> 10U) & 0x1FU;
  const unsigned fraction = bits & 0x3FFU;
  float magnitude = 0;
  if (exponent == 0x1F) {
    magnitude = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    magnitude = std::ldexp(static_cast<float>(fraction | 0x400U), static_cast<int>(exponent) - 25);
  }
  return negative ? -magnitude : magnitude;
}

bool is_finite(const Output& output) {
  if (output.dtype != DType::float32 && output.dtype != DType::float16) return true;
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (!std::isfinite(number(output, i))) return false;
  }
  return true;
}

double root_mean_square(const Output& output) {
  double sum = 0;
  for (std::size_t i = 0; i < output.size(); ++i) sum += number(output, i) * number(output, i);
  return std::sqrt(sum / static_cast<double>(std::max<std::size_t>(1, output.size())));
}

double output_error(const Output& output, const std::string& path) {
  // Read piece by piece: a mapped file would count as memory of the model.
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail({"cannot open ", path, ": ", reason(errno)});
  const auto size = static_cast<std::uint64_t>(std::max<std::streamoff>(0, file.tellg()));
  if (size != output.size() * sizeof(float)) {
    fail({path, " has ", std::to_string(size), " bytes; the first output has ", std::to_string(output.size()),
          " numbers, which as float32 are ", std::to_string(output.size() * sizeof(float)), " bytes"});
  }
  file.seekg(0);
  double largest = 0;
  double difference = 0;
  std::vector<float> expected(kPiece);
  for (std::size_t begin = 0; begin < output.size(); begin += kPiece) {
    const std::size_t n = std::min(kPiece, output.size() - begin);
    if (!file.read(reinterpret_cast<char*>(expected.data()), static_cast<std::streamsize>(n * sizeof(float)))) {
      fail({"cannot read ", path, ": ", reason(errno)});
    }
    for (std::size_t i = 0; i < n; ++i) {
      const double value = expected[i];
      if (!std::isfinite(value)) fail({path, " has a number that is not finite"});
      largest = std::max(largest, std::fabs(value));
      difference = std::max(difference, std::fabs(number(output, begin + i) - value));
    }
  }
  return largest > 0 ? difference / largest : difference;
}

void save(const Output& output, const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail({"cannot write ", path, ": ", reason(errno)});
  int error = write_all(file, {reinterpret_cast<const char*>(output.bytes.data()), output.bytes.size()});
  if (close(file) != 0 && error == 0) error = errno;
  if (error == 0) return;
  unlink(path.c_str());
  fail({"cannot write ", path, ": ", reason(error)});
}

}  // namespace lts::runner
