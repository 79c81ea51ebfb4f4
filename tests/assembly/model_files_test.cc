#include "assembly/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

TEST(ModelFiles, TheBuiltInModelIsReadFromTheBinary) {
  for (const char* reference : {"", "pagoda-demo"}) {
    auto files = ModelFiles::open(reference);
    ASSERT_TRUE(files.ok()) << files.status().message();
    EXPECT_TRUE(files->is_demo());
    EXPECT_NE(files->read_object("config.json", true)->find("vocab_size"), nullptr);
    EXPECT_FALSE(files->read("no_such.json")->has_value());
    EXPECT_TRUE(files->open_checkpoint().ok());
  }
}

TEST(ModelFiles, AbsentFilesAreAnErrorOnlyWhereNeeded) {
  TempDir folder;
  testing::write_file(folder.file("list.json"), "[]");
  ModelFiles files = ModelFiles::open(folder.path()).value();
  EXPECT_TRUE(files.read_object("config.json", false)->empty());
  EXPECT_EQ(files.read_object("config.json", true).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(files.read_object("list.json", false).status().message(), HasSubstr("must hold a JSON object"));
  EXPECT_EQ(files.path_of("config.json"), folder.file("config.json"));
}

TEST(ModelFiles, ANameIsLookedUpInTheHuggingFaceCache) {
  TempDir cache;
  std::string repo = cache.file("models--org--name");
  std::filesystem::create_directories(repo + "/refs");
  std::filesystem::create_directories(repo + "/snapshots/abc123");
  testing::write_file(repo + "/refs/main", "abc123\n");
  ASSERT_EQ(setenv("HF_HUB_CACHE", cache.path().c_str(), 1), 0);
  EXPECT_EQ(ModelFiles::open("org/name")->folder(), repo + "/snapshots/abc123");
  const std::string absent = ModelFiles::open("org/other").status().message();
  EXPECT_THAT(absent, HasSubstr(cache.path()));
  EXPECT_THAT(absent, HasSubstr("hf download org/other"));
  // What is a path can not be downloaded.
  for (const char* reference : {"/no/such", "/no such folder", "./org/name", "org/../name", "../org/name",
                                "name", "a/b/c", "~/models/x", "org/", "C:\\models"}) {
    const std::string message = ModelFiles::open(reference).status().message();
    EXPECT_THAT(message, HasSubstr("there is no folder '" + std::string(reference) + "'"));
    EXPECT_EQ(message.find("ownload"), std::string::npos) << message;
  }
  testing::write_file(repo + "/refs/main", "../../elsewhere");  // not a name of a snapshot
  EXPECT_FALSE(ModelFiles::open("org/name").ok());
  testing::write_file(repo + "/refs/main",
                      std::string(255, 'x'));  // too long for a file system: no exception
  EXPECT_FALSE(ModelFiles::open("org/name").ok());
  EXPECT_FALSE(ModelFiles::open("org/" + std::string(5000, 'x')).ok());
  unsetenv("HF_HUB_CACHE");
}

}  // namespace
}  // namespace pagoda
