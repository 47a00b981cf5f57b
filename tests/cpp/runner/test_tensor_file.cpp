#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "error.hpp"
#include "temporary_folder.hpp"
#include "tensor_file.hpp"

namespace lts::runner {
namespace {

TensorSpec spec(std::uint64_t offset, std::uint64_t bytes) {
  return {.name = "w",
          .shape = {static_cast<std::int64_t>(bytes)},
          .dtype = DType::boolean,
          .file = "w.bin",
          .offset = offset,
          .bytes = bytes};
}

bool aligned(const TensorData& data) { return reinterpret_cast<std::uintptr_t>(data.get()) % tensor_alignment == 0; }

TEST(RunnerTensorFile, GivesAlignedBytes) {
  const TemporaryFolder folder;
  std::string content;
  for (int i = 0; i < 1000; ++i) content += static_cast<char>(i);
  const std::string path = folder.write("w.bin", content);
  TensorFiles files(folder / "", {});
  for (const std::uint64_t offset : {0U, 1U, 63U, 64U, 999U}) {
    for (const std::size_t bytes : {1U, 64U, 65U, 1000U}) {
      if (offset + bytes > content.size()) {
        EXPECT_EQ(error_of([&] { files.load(spec(offset, bytes)); }), path + " has 1000 bytes; 'w' is " +
                                                                          std::to_string(bytes) + " bytes from " +
                                                                          std::to_string(offset) + " on");
        continue;
      }
      const TensorData data = files.load(spec(offset, bytes));
      EXPECT_TRUE(aligned(data));
      EXPECT_EQ(std::memcmp(data.get(), content.data() + offset, bytes), 0);
    }
  }
}

TEST(RunnerTensorFile, BoundsDoNotOverflow) {
  const TemporaryFolder folder;
  static_cast<void>(folder.write("w.bin", "12345678"));
  TensorFiles files(folder / "", {});
  EXPECT_NE(error_of([&] { files.load(spec(UINT64_MAX, 8)); }), "");
  EXPECT_NE(error_of([&] { files.load(spec(4, UINT64_MAX)); }), "");
  EXPECT_TRUE(aligned(files.load(spec(8, 0))));
  EXPECT_NE(error_of([&] { files.load(spec(9, 0)); }), "");
}

TEST(RunnerTensorFile, SurvivesItsFiles) {
  const TemporaryFolder folder;
  const std::string path = folder.write("other.bin", std::string(256, 'x'));
  TensorData mapped;
  TensorData copied;
  {
    TensorFiles files("/nowhere/", {{"w.bin", path}});
    EXPECT_EQ(files.path("w.bin"), path);
    EXPECT_EQ(files.path("v.bin"), "/nowhere/v.bin");
    EXPECT_EQ(files.path("/v.bin"), "/v.bin");
    EXPECT_EQ(TensorFiles("", {}).path("v.so"), "./v.so");
    EXPECT_EQ(TensorFiles("/a/", {{"v.so", "w.so"}}).path("v.so"), "./w.so");
    mapped = files.load(spec(0, 64));
    copied = files.load(spec(1, 64));
    files.drop();
    EXPECT_EQ(mapped.get()[63], std::byte{'x'});
  }
  EXPECT_EQ(mapped.get()[0], std::byte{'x'});
  EXPECT_EQ(copied.get()[0], std::byte{'x'});
}

TEST(RunnerTensorFile, SaysWhatCannotBeRead) {
  const TemporaryFolder folder;
  const auto refused = [](const std::string& path) { return error_of([&] { const MappedFile file(path); }); };
  EXPECT_EQ(refused(folder / "no"), "cannot open " + (folder / "no") + ": No such file or directory");
  EXPECT_EQ(refused("/"), "/ is not a regular file");
  EXPECT_EQ(MappedFile(folder.write("empty", "")).size(), 0U);
}

}  // namespace
}  // namespace lts::runner
