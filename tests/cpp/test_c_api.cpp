// The C interface in the static library; tests/cpp/c_api has the rest, through the shared one.
#include <gtest/gtest.h>
#include <lts/lts.h>

#include <string>

namespace {

TEST(CApiStatic, AllocatesByTheProgram) {
  EXPECT_EQ(lts_set_allocator(nullptr), LTS_UNSUPPORTED);
  EXPECT_NE(std::string(lts_last_error()).find("replace that"), std::string::npos);
}

TEST(CApiStatic, WorksAsTheSharedOne) {
  lts_space* space = nullptr;
  EXPECT_EQ(lts_space_from_json(R"({"n_layer":[1]})", &space), LTS_INVALID_ARGUMENT);
  EXPECT_STREQ(lts_last_error(), "lts_space_from_json: search space: d_model is missing");
  ASSERT_EQ(lts_space_from_json(R"({"n_layer":[1],"d_model":[64],"n_head":[1,2],"d_ff":[64]})", &space), LTS_OK);
  char* size = nullptr;
  ASSERT_EQ(lts_space_size(space, &size), LTS_OK);
  EXPECT_STREQ(size, "2");
  lts_free_text(size);
  EXPECT_EQ(lts_space_destroy(space), LTS_OK);
}

}  // namespace
