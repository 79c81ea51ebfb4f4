#include "assembly/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/mmap.h"
#include "ops/cpu/cpu_stream.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

WeightRecipe recipe_of(const std::string& folder) {
  WeightRecipe recipe;
  recipe.files = ModelFiles::open(folder).value();
  recipe.spec = read_model_spec(read_file(folder + "/config.json").value(), "config.json").value();
  return recipe;
}

TEST(WeightLoader, LoadsAgainWhatItLoadedAndNothingElse) {
  for (int shards : {1, 3}) {
    testing::TempDir dir;
    testing::TempDir elsewhere;
    testing::write_tiny_model(testing::make_tiny_model({.shards = shards}), dir.path());
    const std::string name = shards == 1 ? "model.safetensors" : "model-1.safetensors";
    const std::string file = dir.file(name), away = elsewhere.file(name);
    ASSERT_TRUE(fs::exists(file)) << file;
    CpuStream stream(1);
    WeightLoader loader(recipe_of(dir.path()));
    auto first = loader.load(nullptr, stream);
    ASSERT_TRUE(first.ok()) << first.status().message();
    auto again = loader.load_again(stream);
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ((*again)->weight_bytes(), (*first)->weight_bytes());

    fs::rename(file, away);
    auto gone = loader.load_again(stream);
    ASSERT_FALSE(gone.ok());
    EXPECT_THAT(gone.status().message(), HasSubstr("cannot be loaded again"));

    // Other numbers of the same shapes.
    testing::write_tiny_model(testing::make_tiny_model({.shards = shards, .seed = 2}), dir.path());
    auto changed = loader.load_again(stream);
    ASSERT_FALSE(changed.ok());
    EXPECT_THAT(changed.status().message(), HasSubstr("is not the file that was loaded"));
    EXPECT_EQ(changed.status().code(), StatusCode::kInvalidArgument);

    if (shards > 1) continue;  // the other shards are new too
    fs::rename(away, file);
    again = loader.load_again(stream);
    EXPECT_TRUE(again.ok()) << again.status().message();
  }
}

TEST(WeightLoader, DummiesAndTheBuiltInModelNeedNoFiles) {
  CpuStream stream(1);
  const WeightRecipe demo = [] {
    WeightRecipe recipe;
    recipe.files = ModelFiles::open("").value();
    recipe.spec = read_model_spec(recipe.files.read("config.json").value().value(), "config.json").value();
    return recipe;
  }();
  WeightRecipe dummy = demo;
  dummy.dummy = true;
  for (const WeightRecipe& recipe : {demo, dummy}) {
    WeightLoader loader(recipe);
    auto first = loader.load(nullptr, stream), again = loader.load_again(stream);
    ASSERT_TRUE(first.ok()) << first.status().message();
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ((*again)->weight_bytes(), (*first)->weight_bytes());
  }
}

}  // namespace
}  // namespace pagoda
