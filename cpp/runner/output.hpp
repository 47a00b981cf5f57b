#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "manifest.hpp"

namespace lts::runner {

/// A view of a dense tensor.
struct Output {
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;

  [[nodiscard]] std::size_t size() const { return bytes.size() / item_bytes(dtype); }
};

/// CRC-32 as zlib and PNG define it. Linear.
std::uint32_t crc32(std::span<const std::byte> bytes);

/// The number as eight hexadecimal digits.
std::string hexadecimal(std::uint32_t number);

/// The value of a half-precision number, from its 16 bits.
float half_to_float(std::uint16_t bits);

/// Whether all numbers are finite; integers are.
bool is_finite(const Output& output);

/// Root mean square of all numbers, 0 when there is none.
double root_mean_square(const Output& output);

/// Largest |output - expected| over the largest |expected|; where all expected values are zero, the former alone.
/// @param path a file with as many float32 numbers as the output has
/// @throws Error when it cannot be read, is of another size, or has numbers that are not finite.
double output_error(const Output& output, const std::string& path);

/// Writes the raw bytes to a file. A file that could not be written completely is removed.
/// @throws Error saying why.
void save(const Output& output, const std::string& path);

}  // namespace lts::runner
