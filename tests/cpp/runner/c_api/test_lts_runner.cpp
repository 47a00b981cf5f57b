// The C interface of lts::runner: everything wrong, and with a model, which the environment names, all that is right.
#include <gtest/gtest.h>
#include <lts_runner.h>

#include <cstdlib>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "../temporary_folder.hpp"

namespace {

lts_runner_status open(const std::string& path, lts_runner** out, const char* runtime = nullptr) {
  lts_runner_options options = LTS_RUNNER_OPTIONS_INIT;
  options.runtime = runtime;
  return lts_runner_open(path.c_str(), &options, out);
}

std::string last_error() { return lts_runner_last_error(); }

TEST(RunnerC, RefusesNull) {
  lts_runner* model = nullptr;
  const float* logits = nullptr;
  const int32_t token = 1;
  EXPECT_EQ(lts_runner_open("m", nullptr, nullptr), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "out is NULL; it must not be");
  EXPECT_EQ(lts_runner_open(nullptr, nullptr, &model), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "model is NULL; it must not be");
  EXPECT_EQ(lts_runner_step(nullptr, &token, 1, &logits), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(lts_runner_reset(nullptr), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(lts_runner_rewind(nullptr, 0), LTS_RUNNER_INVALID_ARGUMENT);
  lts_runner_info info = LTS_RUNNER_INFO_INIT;
  EXPECT_EQ(lts_runner_get_info(nullptr, &info), LTS_RUNNER_INVALID_ARGUMENT);
  lts_runner_close(nullptr);
}

TEST(RunnerC, RefusesWrongOptions) {
  lts_runner* model = nullptr;
  lts_runner_options options{};
  EXPECT_EQ(lts_runner_open("m", &options, &model), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "struct_size of the options is not set; use LTS_RUNNER_OPTIONS_INIT");
  options = LTS_RUNNER_OPTIONS_INIT;
  for (const int32_t threads : {0, -1, 1025}) {
    options.threads = threads;
    EXPECT_EQ(lts_runner_open("m", &options, &model), LTS_RUNNER_INVALID_ARGUMENT);
    EXPECT_EQ(last_error(), "threads must be from 1 to 1024");
  }
}

TEST(RunnerC, SaysWhyAModelCannotBeOpened) {
  const lts::runner::TemporaryFolder folder;
  // An address that a failed call has to replace by NULL.
  auto* model = reinterpret_cast<lts_runner*>(8);  // NOLINT(performance-no-int-to-ptr)
  EXPECT_EQ(open(folder / "none", &model), LTS_RUNNER_NO_MODEL);
  EXPECT_EQ(model, nullptr);
  EXPECT_EQ(last_error(), "cannot open " + (folder / "none") + ": No such file or directory");

  const std::string file = folder / "model.json";
  std::ofstream(file) << "{";
  EXPECT_EQ(open(file, &model), LTS_RUNNER_NO_MODEL);
  EXPECT_TRUE(last_error().starts_with(file + " is not JSON: "));

  std::ofstream(file) << R"({"schema": 1, "phase": "prefill", "device": "cpu", "tvm": "0", "library": "model.so",
    "function": "main", "inputs": [], "weights": [], "outputs": ["logits"]})";
  EXPECT_EQ(open(file, &model), LTS_RUNNER_NO_MODEL);
  EXPECT_EQ(last_error(),
            file + " has no cache that it could generate with: it is a model of fixed sizes, for prefill alone");
}

/// A model and TVM's libraries, where the environment names them.
class RunnerCWithModel : public testing::Test {
 protected:
  void SetUp() override {
    const char* const folder = std::getenv("LTS_TEST_MODEL");      // NOLINT(concurrency-mt-unsafe)
    const char* const libraries = std::getenv("LTS_TEST_BUNDLE");  // NOLINT(concurrency-mt-unsafe)
    if (folder == nullptr || libraries == nullptr) {
      GTEST_SKIP() << "LTS_TEST_MODEL and LTS_TEST_BUNDLE name no model and no bundle; a test in Python sets them";
    }
    path = folder;
    runtime = libraries;
    model = opened();
    ASSERT_EQ(lts_runner_get_info(model, &info), LTS_RUNNER_OK);
    tokens.resize(static_cast<std::size_t>(info.n_positions) + 1);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      tokens[i] = static_cast<int32_t>((i * 37 + 5) % static_cast<std::size_t>(info.vocab_size));
    }
  }
  void TearDown() override { lts_runner_close(model); }

  [[nodiscard]] lts_runner* opened() const {
    lts_runner* result = nullptr;
    EXPECT_EQ(open(path, &result, runtime.c_str()), LTS_RUNNER_OK) << last_error();
    return result;
  }

  /// Logits after tokens, which are given in pieces.
  std::vector<float> logits(lts_runner* of, std::size_t from, const std::vector<std::size_t>& pieces) const {
    const float* found = nullptr;
    for (const std::size_t piece : pieces) {
      EXPECT_EQ(lts_runner_step(of, &tokens[from], piece, &found), LTS_RUNNER_OK) << last_error();
      from += piece;
    }
    return {found, found + info.vocab_size};
  }

  static void expect_near(const std::vector<float>& a, const std::vector<float>& b) {
    float greatest = 0;
    float difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      greatest = std::max(greatest, std::abs(b[i]));
      difference = std::max(difference, std::abs(a[i] - b[i]));
    }
    EXPECT_LT(difference, 1e-4F * greatest);
  }

  std::string path, runtime;
  lts_runner* model = nullptr;
  lts_runner_info info = LTS_RUNNER_INFO_INIT;
  std::vector<int32_t> tokens;
};

TEST_F(RunnerCWithModel, PiecesAreOnePass) {
  const std::vector<float> one_pass = logits(model, 0, {200});
  for (const std::vector<std::size_t>& pieces :
       {std::vector<std::size_t>{1, 7, 64, 128}, {128, 72}, {199, 1}, {100, 100}, std::vector<std::size_t>(200, 1)}) {
    ASSERT_EQ(lts_runner_reset(model), LTS_RUNNER_OK);
    expect_near(logits(model, 0, pieces), one_pass);
  }
}

TEST_F(RunnerCWithModel, ForgetsWhatIsAskedFor) {
  const std::vector<float> first = logits(model, 0, {150});
  logits(model, 150, {30});
  ASSERT_EQ(lts_runner_rewind(model, 149), LTS_RUNNER_OK);
  expect_near(logits(model, 149, {1}), first);
  ASSERT_EQ(lts_runner_reset(model), LTS_RUNNER_OK);
  EXPECT_EQ(logits(model, 0, {150}), first);
  EXPECT_EQ(lts_runner_rewind(model, 151), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "cannot go back to 151 tokens: there are 150");
  EXPECT_EQ(lts_runner_rewind(model, -1), LTS_RUNNER_INVALID_ARGUMENT);
}

TEST_F(RunnerCWithModel, TwoModelsAreApart) {
  lts_runner* const other = opened();
  const std::vector<float> expected = logits(other, 10, {40});
  logits(model, 0, {20});
  ASSERT_EQ(lts_runner_reset(other), LTS_RUNNER_OK);
  logits(other, 10, {20});
  const std::vector<float> mine = logits(model, 20, {20});
  expect_near(logits(other, 30, {20}), expected);
  lts_runner_close(other);
  ASSERT_EQ(lts_runner_reset(model), LTS_RUNNER_OK);
  expect_near(logits(model, 0, {40}), mine);
}

TEST_F(RunnerCWithModel, RefusesWrongTokensAndKeepsThoseBefore) {
  const float* found = nullptr;
  logits(model, 0, {10});
  const int32_t wrong = static_cast<int32_t>(info.vocab_size);
  EXPECT_EQ(lts_runner_step(model, &wrong, 1, &found), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "the token " + std::to_string(wrong) + " is not in the vocabulary, which has 0 to " +
                              std::to_string(wrong - 1));
  const int32_t negative = -1;
  EXPECT_EQ(lts_runner_step(model, &negative, 1, &found), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(lts_runner_step(model, tokens.data(), 0, &found), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "there is no token; expected one or more");
  EXPECT_EQ(lts_runner_step(model, tokens.data(), tokens.size(), &found), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(lts_runner_step(model, nullptr, 1, &found), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(lts_runner_step(model, tokens.data(), 1, nullptr), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(found, nullptr);
  ASSERT_EQ(lts_runner_get_info(model, &info), LTS_RUNNER_OK);
  EXPECT_EQ(info.length, 10);
}

TEST_F(RunnerCWithModel, TakesAsManyTokensAsItHasPositions) {
  const auto all = static_cast<std::size_t>(info.n_positions);
  const std::vector<float> one_pass = logits(model, 0, {all});
  const float* found = nullptr;
  EXPECT_EQ(lts_runner_step(model, tokens.data(), 1, &found), LTS_RUNNER_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "1 tokens are too many: of " + std::to_string(all) + " positions, 0 are left");
  ASSERT_EQ(lts_runner_reset(model), LTS_RUNNER_OK);
  expect_near(logits(model, 0, {all - 1, 1}), one_pass);
}

}  // namespace
