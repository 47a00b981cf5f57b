#pragma once

#include <gtest/gtest.h>
#include <lts/lts.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

// One object of every type, made through the C interface.

namespace lts::test {

inline constexpr const char* kSpace =
    R"({"name":"small","family":"gpt2","n_layer":[2,3,4],"d_model":[64,128],"n_head":[2,4],"d_ff":[128,256,384]})";
inline constexpr const char* kArchitecture =
    R"({"family":"gpt2","vocab_size":50257,"n_positions":1024,"d_model":64,"n_layer":2,"n_head":2,"d_ff":128})";
inline constexpr std::array kObjectives{"decoder_params:max", "latency_ms:min"};

inline lts_search_options search_options(const char* algorithm = "lts", std::uint64_t seed = 1) {
  lts_search_options options = LTS_SEARCH_OPTIONS_INIT;
  options.objectives = kObjectives.data();
  options.n_objectives = kObjectives.size();
  options.algorithm = algorithm;
  options.seed = seed;
  return options;
}

/// What a candidate is said to cost: its parameters, and something that its shape decides.
inline void values_of(const lts_architecture* architecture, double* values) {
  ASSERT_EQ(lts_count(architecture, "decoder_params", nullptr, &values[0]), LTS_OK);
  ASSERT_EQ(lts_count(architecture, "flops_decode", nullptr, &values[1]), LTS_OK);
  values[1] = std::fmod(values[1], 1009.0) + values[0] / 1e6;
}

/// A text that is freed.
class Text {
 public:
  Text() = default;
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  ~Text() { lts_free_text(text_); }
  char** out() {
    lts_free_text(text_);
    return &text_;
  }
  [[nodiscard]] const char* get() const { return text_; }
  [[nodiscard]] std::string str() const { return text_ == nullptr ? "NULL" : text_; }

 private:
  char* text_ = nullptr;
};

struct Objects {
  Objects() {
    EXPECT_EQ(lts_space_from_json(kSpace, &space), LTS_OK) << lts_last_error();
    EXPECT_EQ(lts_architecture_from_json(kArchitecture, &architecture), LTS_OK) << lts_last_error();
    EXPECT_EQ(lts_architecture_create(&scratch), LTS_OK);
    EXPECT_EQ(lts_archive_create(2, &archive), LTS_OK);
    const lts_search_options options = search_options();
    EXPECT_EQ(lts_search_create(space, &options, &search), LTS_OK) << lts_last_error();
    fit();
  }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;
  ~Objects() {
    lts_search_destroy(search);
    lts_surrogate_destroy(surrogate);
    lts_archive_destroy(archive);
    lts_architecture_destroy(scratch);
    lts_architecture_destroy(architecture);
    lts_space_destroy(space);
  }

  void fit() {
    lts_random random{};
    lts_random_seed(&random, 3);
    std::vector<lts_architecture*> owned;
    std::vector<const lts_architecture*> architectures;
    std::vector<double> values;
    for (int i = 0; i < 12; ++i) {
      lts_architecture* a = nullptr;
      EXPECT_EQ(lts_architecture_create(&a), LTS_OK);
      EXPECT_EQ(lts_space_sample_choices(space, &random, a), LTS_OK);
      double value = 0;
      EXPECT_EQ(lts_count(a, "flops_decode", nullptr, &value), LTS_OK);
      owned.push_back(a);
      architectures.push_back(a);
      values.push_back(value);
    }
    EXPECT_EQ(lts_surrogate_fit(architectures.data(), values.data(), nullptr, values.size(), nullptr, &surrogate),
              LTS_OK)
        << lts_last_error();
    for (lts_architecture* a : owned) lts_architecture_destroy(a);
  }

  lts_space* space = nullptr;
  lts_architecture* architecture = nullptr;
  lts_architecture* scratch = nullptr;  ///< empty
  lts_archive* archive = nullptr;
  lts_surrogate* surrogate = nullptr;
  lts_search* search = nullptr;
};

}  // namespace lts::test
