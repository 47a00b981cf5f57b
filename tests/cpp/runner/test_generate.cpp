#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string_view>
#include <vector>

#include "generate.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

Generate parsed(std::vector<std::string_view> arguments) { return parse_generate(arguments); }

std::string refused(const std::vector<std::string_view>& arguments) {
  return error_of([&] { parse_generate(arguments); });
}

TEST(RunnerGenerate, ArgumentsAreRead) {
  const Generate few = parsed({"--generate", " 1 22,3\n", "folder"});
  EXPECT_EQ(few.model, "folder");
  EXPECT_EQ(few.prompt, (std::vector<std::int64_t>{1, 22, 3}));
  EXPECT_EQ(few.n_gen, 32);
  EXPECT_EQ(few.threads, 1);
  EXPECT_FALSE(few.seed.has_value());
  const Generate all =
      parsed({"m", "--seed", "18446744073709551615", "--n-gen", "7", "--threads", "2", "--generate", "0"});
  EXPECT_EQ(all.seed, 18446744073709551615U);
  EXPECT_EQ(all.n_gen, 7);
  EXPECT_EQ(all.threads, 2);
  EXPECT_FALSE(parsed({"m", "--greedy", "--generate", "0"}).seed.has_value());
}

TEST(RunnerGenerate, WrongArgumentsAreRefused) {
  EXPECT_EQ(refused({"m", "--generate", "1 x"}),
            "a token of --generate is 'x'; expected a number from 0 to 2147483647");
  EXPECT_EQ(refused({"m", "--generate", "-1"}),
            "a token of --generate is '-1'; expected a number from 0 to 2147483647");
  EXPECT_EQ(refused({"m", "--generate", " "}), "--generate has no tokens; expected numbers, such as \"1 2 3\"");
  EXPECT_EQ(refused({"m", "--generate"}), "--generate needs a value");
  EXPECT_EQ(refused({"--generate", "1"}), "there is no model; expected the folder of one, or its model.json");
  EXPECT_EQ(refused({"m"}), "there is no prompt; expected --generate TOKENS");
  EXPECT_EQ(refused({"m", "--generate", "1", "--n-gen", "0"}),
            "--n-gen is '0'; expected a number from 1 to 2147483647");
  EXPECT_EQ(refused({"m", "--generate", "1", "--threads", "2.5"}),
            "--threads is '2.5'; expected a number from 1 to 1024");
  EXPECT_EQ(refused({"m", "--generate", "1", "--greedy", "--seed", "3"}),
            "--greedy takes the likeliest token, and --seed draws one; leave one of them out");
  const std::string other = "; expected MODEL, --generate TOKENS, --n-gen N, --greedy, --seed N or --threads N";
  EXPECT_EQ(refused({"m", "--generate", "1", "--top-k"}), "unexpected argument '--top-k'" + other);
  EXPECT_EQ(refused({"m", "n", "--generate", "1"}), "unexpected argument 'n'" + other);
}

TEST(RunnerGenerate, TheLikeliestIsTheFirstLargest) {
  EXPECT_EQ(likeliest(std::array{-1.0F, 3.0F, 3.0F, 2.0F}), 1);
  EXPECT_EQ(likeliest(std::array{-1.0F}), 0);
}

TEST(RunnerGenerate, DrawsBySoftmax) {
  const std::array logits{0.0F, std::log(2.0F), -INFINITY, std::log(5.0F)};  // 1, 2, 0 and 5 of 8
  EXPECT_EQ(drawn(logits, 0.0), 0);
  EXPECT_EQ(drawn(logits, 0.124), 0);
  EXPECT_EQ(drawn(logits, 0.126), 1);
  EXPECT_EQ(drawn(logits, 0.374), 1);
  EXPECT_EQ(drawn(logits, 0.376), 3);
  EXPECT_EQ(drawn(logits, std::nextafter(1.0, 0.0)), 3);
}

TEST(RunnerGenerate, DrawsFromLogitsOfAnySize) {
  const std::array logits{1e38F, 1e38F, -1e38F};
  EXPECT_EQ(drawn(logits, 0.4), 0);
  EXPECT_EQ(drawn(logits, 0.6), 1);
}

}  // namespace
}  // namespace lts::runner
