#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "error.hpp"
#include "output.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

template <class T>
Output view(const std::vector<T>& values, DType dtype) {
  return {
      .dtype = dtype, .shape = {static_cast<std::int64_t>(values.size())}, .bytes = std::as_bytes(std::span(values))};
}

std::string raw(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TEST(RunnerOutput, ChecksumIsThatOfZlib) {
  const std::string text = "123456789";
  EXPECT_EQ(crc32(std::as_bytes(std::span(text))), 0xCBF43926U);
  EXPECT_EQ(crc32({}), 0U);
  EXPECT_EQ(hexadecimal(0xBADCAFEU), "0badcafe");
}

TEST(RunnerOutput, HalfPrecisionIsThatOfIeee) {
  EXPECT_EQ(half_to_float(0x0000), 0.0F);
  EXPECT_TRUE(std::signbit(half_to_float(0x8000)));
  EXPECT_EQ(half_to_float(0x3C00), 1.0F);
  EXPECT_EQ(half_to_float(0xC000), -2.0F);
  EXPECT_EQ(half_to_float(0x7BFF), 65504.0F);
  EXPECT_EQ(half_to_float(0x0400), std::ldexp(1.0F, -14));
  EXPECT_EQ(half_to_float(0x0001), std::ldexp(1.0F, -24));
  EXPECT_EQ(half_to_float(0x03FF), std::ldexp(1023.0F, -24));
  EXPECT_TRUE(std::isinf(half_to_float(0x7C00)));
  EXPECT_TRUE(std::isnan(half_to_float(0x7E00)));
}

TEST(RunnerOutput, KnowsWhatIsFinite) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {inf, -inf, nan}) {
    const std::vector<float> values{1, 2, bad};
    EXPECT_FALSE(is_finite(view(values, DType::float32)));
  }
  const std::vector<float> good{1, -2, std::numeric_limits<float>::max()};
  EXPECT_TRUE(is_finite(view(good, DType::float32)));
  const std::vector<std::uint16_t> half{0x3C00, 0x7C00};
  EXPECT_FALSE(is_finite(view(half, DType::float16)));
  const std::vector<std::int32_t> integers{-1, 0x7F800000};
  EXPECT_TRUE(is_finite(view(integers, DType::int32)));
  EXPECT_TRUE(is_finite(view(std::vector<float>(), DType::float32)));
}

TEST(RunnerOutput, RootMeanSquare) {
  const std::vector<float> values{3, -4};
  EXPECT_DOUBLE_EQ(root_mean_square(view(values, DType::float32)), std::sqrt(12.5));
  const std::vector<std::int64_t> integers{3, -4};
  EXPECT_DOUBLE_EQ(root_mean_square(view(integers, DType::int64)), std::sqrt(12.5));
  const std::vector<std::uint8_t> booleans{1, 0, 1, 1};
  EXPECT_DOUBLE_EQ(root_mean_square(view(booleans, DType::boolean)), std::sqrt(0.75));
  EXPECT_EQ(root_mean_square(view(std::vector<float>(), DType::float32)), 0);
}

TEST(RunnerOutput, ErrorIsRelativeToTheLargest) {
  const TemporaryFolder folder;
  std::vector<float> values(40000, 1.0F);
  const Output output = view(values, DType::float32);
  std::vector<float> expected = values;
  EXPECT_EQ(output_error(output, folder.write("same", raw(expected))), 0);
  expected.back() = -4;
  EXPECT_EQ(output_error(output, folder.write("last", raw(expected))), 5.0 / 4);
  const std::vector<float> zeros(values.size());
  EXPECT_EQ(output_error(output, folder.write("zeros", raw(zeros))), 1);
}

TEST(RunnerOutput, ErrorNeedsAsManyFiniteNumbers) {
  const TemporaryFolder folder;
  const std::vector<float> values(3);
  const Output output = view(values, DType::float32);
  const std::string path = folder.write("short", std::string(8, '\0'));
  EXPECT_EQ(error_of([&] { output_error(output, path); }),
            path + " has 8 bytes; the first output has 3 numbers, which as float32 are 12 bytes");
  const std::string bad = folder.write("bad", raw({1, 2, NAN}));
  EXPECT_EQ(error_of([&] { output_error(output, bad); }), bad + " has a number that is not finite");
  EXPECT_TRUE(error_of([&] { output_error(output, folder / "missing"); }).starts_with("cannot open "));
}

TEST(RunnerOutput, IsSaved) {
  const TemporaryFolder folder;
  const std::vector<float> values{1, 2, 3};
  const Output output = view(values, DType::float32);
  save(output, folder / "out");
  EXPECT_EQ(std::filesystem::file_size(folder / "out"), 12U);
  EXPECT_EQ(output_error(output, folder / "out"), 0);
  EXPECT_EQ(error_of([&] { save(output, folder / "no/out"); }),
            "cannot write " + (folder / "no/out") + ": No such file or directory");
  const std::string full = folder / "full";
  std::filesystem::create_symlink("/dev/full", full);
  EXPECT_EQ(error_of([&] { save(output, full); }), "cannot write " + full + ": No space left on device");
  EXPECT_FALSE(std::filesystem::is_symlink(full)) << "what could not be written is removed";
}

}  // namespace
}  // namespace lts::runner
