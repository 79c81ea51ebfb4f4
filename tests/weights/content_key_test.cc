#include "weights/content_key.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;

Hash128 key_of(const std::vector<testing::TinyTensor>& tensors, const char* dtype = "float32") {
  std::string bytes = testing::safetensors_bytes(tensors, dtype);
  ComputePool pool(2);
  return content_key(**Checkpoint::from_bytes(std::as_bytes(std::span(bytes)), "memory"), "", pool);
}

TEST(ContentKey, DependsOnNamesTypesShapesAndNumbers) {
  const Hash128 key = key_of({{"a", {2, 2}, {1, 2, 3, 4}}, {"b", {1}, {5}}});
  EXPECT_EQ(key, key_of({{"b", {1}, {5}}, {"a", {2, 2}, {1, 2, 3, 4}}})) << "not on their order in the file";
  EXPECT_NE(key, key_of({{"a", {2, 2}, {1, 2, 3, 5}}, {"b", {1}, {5}}}));
  EXPECT_NE(key, key_of({{"a", {4}, {1, 2, 3, 4}}, {"b", {1}, {5}}}));
  EXPECT_NE(key, key_of({{"a", {2, 2}, {1, 2, 3, 4}}, {"c", {1}, {5}}}));
  EXPECT_NE(key, key_of({{"a", {2, 2}, {1, 2, 3, 4}}}));
  EXPECT_NE(key_of({{"a", {1}, {0}}}, "bfloat16"), key_of({{"a", {1}, {0}}}, "float16"));
}

class ContentKeyNote : public ::testing::Test {
 protected:
  void write(float number) const {
    testing::write_file(file_, testing::safetensors_bytes({{"a", {1}, {number}}}, "float32"));
  }
  Hash128 key(int64_t settled_seconds) {
    return content_key(**Checkpoint::open(file_), notes_, pool_, settled_seconds);
  }
  fs::path note() const { return fs::directory_iterator(notes_)->path(); }
  testing::TempDir folder_;
  const std::string file_ = folder_.file("model.safetensors"), notes_ = folder_.file("notes");
  ComputePool pool_{1};
};

TEST_F(ContentKeyNote, FilesThatJustChangedAreReadWhole) {
  write(1);
  const Hash128 one = key(60);
  fs::last_write_time(file_,
                      fs::file_time_type::clock::now() - std::chrono::hours(2));  // they can be set back
  EXPECT_EQ(key(60), one);
  EXPECT_FALSE(fs::exists(notes_));
  write(2);
  fs::last_write_time(file_, fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_NE(key(60), one);
}

TEST_F(ContentKeyNote, OtherFilesAreKnownByTheirNote) {
  write(1);
  const Hash128 one = key(-60);
  ASSERT_TRUE(fs::exists(notes_));
  EXPECT_EQ(key(-60), one);
  const Hash128 other{5, 6};
  testing::write_file(note(), other.hex() + "\n" + hash128(other.hex()).hex() + "\n");
  EXPECT_EQ(key(-60), other) << "the note was read, not the numbers";
  for (const std::string& bad : {std::string(), other.hex(), other.hex() + "\n" + other.hex() + "\n",
                                 std::string(64, '\0'), std::string(5000, 'a')}) {
    testing::write_file(note(), bad);
    EXPECT_EQ(key(-60), one);
  }
  fs::remove_all(notes_);
  testing::write_file(notes_, "not a folder");
  EXPECT_EQ(key(-60), one);
  fs::remove(notes_);
  write(2);
  EXPECT_NE(key(-60), one);
}

}  // namespace
}  // namespace pagoda
