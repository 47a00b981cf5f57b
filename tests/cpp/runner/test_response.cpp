#include <gtest/gtest.h>

#include <string>

#include "error.hpp"
#include "response.hpp"

namespace lts::runner {
namespace {

TEST(RunnerResponse, IsALineOfJson) {
  Result result;
  result.timing.samples_ns = {1, 2};
  result.timing.wall_ns = {3, 4};
  result.peak_memory_mib = 1.5;
  result.checksum = "0badcafe";
  result.warnings = {"doubt"};
  EXPECT_EQ(value_line(result),
            R"({"value":{"samples_ns":[1,2],"wall_ns":[3,4],"peak_memory_mib":1.5,"checksum":"0badcafe","rms":0.0,)"
            R"("load_seconds":0.0,"run_seconds":0.0,"warnings":["doubt"],"disturbed":false}})"
            "\n");
  result.output_error = 0.25;
  result.correct = false;
  EXPECT_TRUE(value_line(result).ends_with(R"("output_error":0.25,"correct":false}})"
                                           "\n"));
}

TEST(RunnerResponse, HasTheEnvironment) {
  const Environment environment{.cpu = "cortex-a72",
                                .cores = 4,
                                .governor = "ondemand",
                                .memory_mib = 4000,
                                .triple = "aarch64-linux-gnu",
                                .kernel = "6.1"};
  EXPECT_EQ(value_line(environment, {.runner = "0.1.0", .tvm = "0.27"}),
            R"({"value":{"cpu":"cortex-a72","cores":4,"governor":"ondemand","memory_mib":4000,)"
            R"("triple":"aarch64-linux-gnu","kernel":"6.1","runner":"0.1.0","tvm":"0.27"}})"
            "\n");
}

TEST(RunnerResponse, ErrorsAreOneLineOfUtf8) {
  EXPECT_EQ(error_line("a\n  \"b\"\xff"), "{\"error\":\"a \\\"b\\\"\xEF\xBF\xBD\"}\n");
  EXPECT_LT(error_line(std::string(100'000, 'x')).size(), 600U);
}

TEST(RunnerError, TextsBecomeOneLine) {
  EXPECT_EQ(one_line("  a\t\n b\x01 c  "), "a b c");
  EXPECT_EQ(one_line(""), "");
  const std::string two_bytes = "\xC3\xA4";
  std::string text;
  for (int i = 0; i < 1000; ++i) text += two_bytes;
  EXPECT_EQ(one_line("x" + text).size() % 2, 0U) << "a character is not cut in two";
  EXPECT_EQ(last_line("first\nsecond line\n\n"), "second line");
  EXPECT_EQ(last_line("only"), "only");
  EXPECT_EQ(last_line(""), "");
}

}  // namespace
}  // namespace lts::runner
