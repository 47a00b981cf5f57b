#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "error.hpp"
#include "request.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

std::string refused(const std::string& line) {
  return error_of([&] { parse_request(line); });
}

TEST(RunnerRequest, HasDefaults) {
  const Request request = parse_request(R"({"run": "model.json"})");
  EXPECT_EQ(request.run, "model.json");
  EXPECT_FALSE(request.environment);
  EXPECT_TRUE(request.files.empty());
  EXPECT_TRUE(request.cpus.empty());
  EXPECT_EQ(request.sampling.threads, 1);
  EXPECT_EQ(request.sampling.min_time, 0.3);
  EXPECT_EQ(request.sampling.max_time, 1.0);
  EXPECT_EQ(request.sampling.min_repeats, 10);
  EXPECT_EQ(request.sampling.max_repeats, 1000);
  EXPECT_FALSE(request.sampling.mark);
  EXPECT_TRUE(std::isinf(request.timeout));
  EXPECT_FALSE(request.expected.has_value());
  EXPECT_EQ(request.checksum, "");
  EXPECT_EQ(request.save, "");
}

TEST(RunnerRequest, ReadsEverything) {
  const Request request = parse_request(
      R"({"run": "a/model.json", "files": {"weights.bin": "/w"}, "threads": 2, "cpus": [1, 3], "min_time": 0,)"
      R"( "min_repeats": 4, "max_repeats": 5, "max_time": 2.5, "timeout": 60, "expected": {"file": "e", "tolerance":)"
      R"( 0.001}, "checksum": "0badcafe", "save": "out", "mark": true})");
  EXPECT_EQ(request.files.at("weights.bin"), "/w");
  EXPECT_EQ(request.sampling.threads, 2);
  EXPECT_EQ(request.cpus, (std::vector<std::size_t>{1, 3}));
  EXPECT_EQ(request.sampling.min_time, 0);
  EXPECT_EQ(request.sampling.min_repeats, 4);
  EXPECT_EQ(request.sampling.max_repeats, 5);
  EXPECT_EQ(request.sampling.max_time, 2.5);
  EXPECT_TRUE(request.sampling.mark);
  EXPECT_EQ(request.timeout, 60);
  ASSERT_TRUE(request.expected.has_value());
  EXPECT_EQ(request.expected->file, "e");
  EXPECT_EQ(request.expected->tolerance, 0.001);
  EXPECT_EQ(request.checksum, "0badcafe");
  EXPECT_EQ(request.save, "out");
}

TEST(RunnerRequest, AsksForTheEnvironment) {
  EXPECT_TRUE(parse_request(R"({"environment": true})").environment);
  EXPECT_EQ(refused(R"({"environment": false})"), "the request: 'environment' must be true, not false");
  EXPECT_NE(refused(R"({"environment": true, "run": "x"})").find("'run'"), std::string::npos);
}

TEST(RunnerRequest, RefusesWhatIsWrong) {
  EXPECT_EQ(refused("{}"), "the request has no 'run'");
  EXPECT_EQ(refused("[1]"), "the request must be a JSON object, not an array");
  EXPECT_EQ(refused("7"), "the request must be a JSON object, not 7");
  EXPECT_EQ(refused(R"({"run": 7})"), "the request: 'run' must be a text, not 7");
  EXPECT_EQ(refused(R"({"run": "a\u0000b"})"), "the request: 'run' must be a text without NUL, not \"a\\u0000b\"");
  EXPECT_NE(refused(R"({"run": "m", "min_tme": 1})").find("the key 'min_tme'; expected some of run, files"),
            std::string::npos);
  EXPECT_EQ(refused(R"({"run": "m", "threads": 0})"),
            "the request: 'threads' must be an integer from 1 to 1024, not 0");
  EXPECT_EQ(refused(R"({"run": "m", "threads": 1.5})"),
            "the request: 'threads' must be an integer from 1 to 1024, not 1.5");
  EXPECT_EQ(refused(R"({"run": "m", "timeout": -1})"),
            "the request: 'timeout' must be a number from 0.001 to 1000000, not -1");
  EXPECT_EQ(refused(R"({"run": "m", "cpus": [1, -1]})"),
            "the request: 'cpus' must be an array of integers from 0 to 1023, not an array");
  EXPECT_EQ(refused(R"({"run": "m", "max_repeats": 18446744073709551615})"),
            "the request: 'max_repeats' must be an integer from 1 to 1000000, not 18446744073709551615");
  EXPECT_EQ(refused(R"({"run": "m", "checksum": "xyz"})"),
            "the request: 'checksum' must be eight hexadecimal digits, not \"xyz\"");
  EXPECT_EQ(refused(R"({"run": "m", "expected": "e"})"), "'expected' of the request must be a JSON object, not \"e\"");
  EXPECT_EQ(refused(R"({"run": "m", "mark": 1})"), "the request: 'mark' must be true or false, not 1");
}

TEST(RunnerRequest, RefusesWhatIsNotJson) {
  for (const std::string& line :
       {std::string(), std::string("{"), std::string("\0\0", 2), std::string("{\"run\": \"\xff\"}"), std::string("NaN"),
        std::string("{} {}"), std::string(1 << 16, '['), R"({"run": "m", "min_time": 1e999})" + std::string()}) {
    EXPECT_TRUE(refused(line).starts_with("the request is not JSON: ")) << refused(line);
  }
}

}  // namespace
}  // namespace lts::runner
