#include <gtest/gtest.h>

#include <string>

#include "error.hpp"
#include "manifest.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

constexpr const char* kManifest =
    R"({"schema": 1, "phase": "prefill", "triple": "t", "device": "cpu", "threads": 1, "tvm": "0.27",
 "library": "model.so", "function": "main", "prepare": "prepare",
 "inputs": [{"name": "input_ids", "shape": [1, 128], "dtype": "int64", "file": "inputs.bin", "offset": 64}],
 "weights": [{"name": "w", "shape": [3, 5], "dtype": "float32", "file": "weights.bin", "offset": 4096}],
 "outputs": ["logits"]})";

/// The manifest with one text replaced by another.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = kManifest;
  const auto at = text.find(from);
  if (at == std::string::npos) throw std::logic_error("the manifest has no " + from);
  return text.replace(at, from.size(), to);
}

std::string refused(const std::string& text) {
  return error_of([&] { parse_manifest(text, "model.json"); });
}

TEST(RunnerManifest, IsRead) {
  const Manifest manifest = parse_manifest(kManifest, "model.json");
  EXPECT_EQ(manifest.phase, "prefill");
  EXPECT_EQ(manifest.device, "cpu");
  EXPECT_EQ(manifest.tvm, "0.27");
  EXPECT_EQ(manifest.library, "model.so");
  EXPECT_EQ(manifest.function, "main");
  EXPECT_EQ(manifest.prepare, "prepare");
  ASSERT_EQ(manifest.inputs.size(), 1U);
  EXPECT_EQ(manifest.inputs[0].bytes, 1024U);
  EXPECT_EQ(manifest.inputs[0].offset, 64U);
  EXPECT_EQ(manifest.inputs[0].dtype, DType::int64);
  EXPECT_EQ(manifest.weights.at(0).shape, (std::vector<std::int64_t>{3, 5}));
  EXPECT_EQ(manifest.outputs, std::vector<std::string>{"logits"});
}

TEST(RunnerManifest, MayDoWithoutPreparation) {
  EXPECT_EQ(parse_manifest(changed(R"("prepare": "prepare")", R"("prepare": null)"), "m").prepare, "");
  EXPECT_EQ(parse_manifest(changed(R"("prepare": "prepare",)", ""), "m").prepare, "");
}

TEST(RunnerManifest, RefusesWhatIsWrong) {
  EXPECT_EQ(refused(changed(R"("schema": 1)", R"("schema": 3)")), "model.json: 'schema' must be 1 or 2, not 3");
  EXPECT_EQ(refused(changed(R"("schema": 1, )", "")), "model.json has no 'schema'");
  EXPECT_EQ(refused("[]"), "model.json must be a JSON object, not an array");
  EXPECT_TRUE(refused("{").starts_with("model.json is not JSON: "));
  EXPECT_EQ(refused(changed("[3, 5]", "[3, -5]")),
            "model.json: weights[0]: 'shape' must be an array of integers from 0 to 9223372036854775807, not an array");
  EXPECT_EQ(refused(changed("[3, 5]", "[4294967296, 4294967296]")), "model.json: weights[0] is larger than any memory");
  EXPECT_EQ(refused(changed("[3, 5]", "[4611686018427387904]")), "model.json: weights[0] is larger than any memory");
  EXPECT_EQ(refused(changed("[3, 5]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]")),
            "model.json: weights[0] has more than 16 dimensions");
  EXPECT_EQ(
      refused(changed("float32", "float31")),
      "model.json: weights[0]: 'dtype' must be float32, float16, int64, int32, int8, uint8 or bool, not \"float31\"");
  EXPECT_TRUE(refused(changed("4096", "-1")).starts_with("model.json: weights[0]: 'offset' must be an integer from 0"));
  EXPECT_EQ(refused(changed(R"(["logits"])", "[]")),
            "model.json: 'outputs' must be an array with a name or more, not an array");
  EXPECT_EQ(refused(changed(R"(["logits"])", "[1]")), "model.json: 'outputs' must be an array of texts, not an array");
  EXPECT_EQ(refused(changed(R"("library": "model.so",)", "")), "model.json has no 'library'");
}

TEST(RunnerManifest, CountsBytes) {
  EXPECT_EQ(tensor_bytes({}, DType::float16, "x"), 2U);
  EXPECT_EQ(tensor_bytes({3, 5}, DType::int8, "x"), 15U);
  EXPECT_EQ(tensor_bytes({3, 5}, DType::uint8, "x"), 15U);
  EXPECT_EQ(tensor_bytes({2, 3, 4}, DType::int32, "x"), 96U);
  EXPECT_EQ(tensor_bytes({INT64_MAX, INT64_MAX, 0}, DType::int64, "x"), 0U);
  EXPECT_EQ(tensor_bytes({7}, DType::boolean, "x"), 7U);
}

TEST(RunnerManifest, IsAFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(load_manifest(folder.write("model.json", kManifest)).function, "main");
  const std::string missing = folder / "missing.json";
  EXPECT_EQ(error_of([&] { load_manifest(missing); }), "cannot open " + missing + ": No such file or directory");
  const std::string empty = folder.write("empty.json", "");
  EXPECT_TRUE(error_of([&] { load_manifest(empty); }).starts_with(empty + " is not JSON: "));
  EXPECT_EQ(error_of([] { load_manifest("/dev/zero"); }), "/dev/zero is not a regular file");
}

constexpr const char* kGeneration =
    R"({"schema": 2, "phase": "generation", "triple": "t", "device": "cpu", "threads": 1, "tvm": "0.27",
 "library": "model.so", "vocab_size": 100, "n_positions": 32, "chunk": 8,
 "caches": [{"name": "keys.0", "shape": [1, 2, 4, 16]}], "packed": ["w, packed"],
 "functions": {"prefill": ["input_ids"], "decode": ["input_ids"], "head": ["hidden", "w, packed"], "prepare": ["w"]},
 "weights": [{"name": "w", "shape": [3, 5], "dtype": "float32", "file": "weights.bin", "offset": 4096}]})";

std::string refused_generation(const std::string& from, const std::string& to) {
  std::string text = kGeneration;
  return refused(text.replace(text.find(from), from.size(), to));
}

TEST(RunnerManifest, OfAModelThatGeneratesIsRead) {
  const Manifest manifest = parse_manifest(kGeneration, "model.json");
  ASSERT_TRUE(manifest.generation.has_value());
  const Generation& generation = *manifest.generation;
  EXPECT_EQ(generation.vocab_size, 100);
  EXPECT_EQ(generation.n_positions, 32);
  EXPECT_EQ(generation.chunk, 8);
  ASSERT_EQ(generation.caches.size(), 1U);
  EXPECT_EQ(generation.caches[0].bytes, 512U);
  EXPECT_EQ(generation.packed, std::vector<std::string>{"w, packed"});
  EXPECT_EQ(generation.functions.at("head"), (std::vector<std::string>{"hidden", "w, packed"}));
  EXPECT_EQ(manifest.weights.at(0).name, "w");
  EXPECT_TRUE(manifest.inputs.empty());
}

TEST(RunnerManifest, OfAModelThatGeneratesIsRefusedWhenItIsWrong) {
  EXPECT_EQ(refused_generation(R"("chunk": 8)", R"("chunk": 0)"),
            "model.json: 'chunk' must be an integer from 1 to 2147483647, not 0");
  EXPECT_EQ(refused_generation(R"("vocab_size": 100, )", ""), "model.json has no 'vocab_size'");
  EXPECT_EQ(refused_generation(R"("head": ["hidden", "w, packed"], )", ""), "model.json: 'functions' has no 'head'");
  EXPECT_EQ(refused_generation("[1, 2, 4, 16]", "[4294967296, 4294967296]"),
            "model.json: caches[0] is larger than any memory");
  EXPECT_EQ(refused_generation("[1, 2, 4, 16]", "[0]"),
            "model.json: caches[0]: 'shape' must be an array of integers from 1 to 9223372036854775807, not an array");
}

}  // namespace
}  // namespace lts::runner
