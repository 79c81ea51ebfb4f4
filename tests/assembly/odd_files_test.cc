// What lies in the place of a model's file and is none is named, with what it is: nothing waits, and nothing
// that is there is taken for absent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "assembly/assemble.h"
#include "assembly/model_files.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;

struct Kind {
  const char* reason;
  void (*put)(const std::string& path);
};

const Kind kKinds[] = {
    {"but a pipe", [](const std::string& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); }},
    {"but a folder", [](const std::string& path) { fs::create_directory(path); }},
    {"but a device", [](const std::string& path) { fs::create_symlink("/dev/zero", path); }},
    {"a link to a file that is not there",
     [](const std::string& path) { fs::create_symlink("no such file", path); }},
    {"Too many levels of symbolic links",
     [](const std::string& path) { fs::create_symlink(fs::path(path).filename(), path); }},
    {"Permission denied",
     [](const std::string& path) {
       testing::write_file(path, "{}");
       fs::permissions(path, fs::perms::none);
     }},
};

// A folder with all that a model needs.
EngineArgs whole_model(const TempDir& folder) {
  testing::TinyModelOptions tiny;
  tiny.vocab = 2048;  // the built-in model's tokenizer fits
  testing::write_tiny_model(testing::make_tiny_model(tiny), folder.path());
  testing::write_file(folder.file("tokenizer.json"),
                      *ModelFiles::open("").value().read("tokenizer.json").value());
  EngineArgs options;
  options.model.path = folder.path();
  options.cache.kv_cache_memory_bytes = 4 << 20;
  options.cpu.num_threads = 1;
  options.config.log_stats = false;
  return options;
}

// Expects that the start fails, and names file and reason.
void expect_named(const char* name, const EngineArgs& options, const std::string& path) {
  for (const Kind& kind : kKinds) {
    if (kind.reason == std::string("Permission denied") && ::geteuid() == 0) continue;  // root reads all
    SCOPED_TRACE(std::string(name) + ": " + kind.reason);
    fs::remove(path);
    kind.put(path);
    auto assembly = assemble(options);
    ASSERT_FALSE(assembly.ok());
    EXPECT_THAT(assembly.status().message(), AllOf(HasSubstr(path), HasSubstr(kind.reason)));
    fs::remove(path);
  }
}

TEST(OddFiles, OfAModelFolderAreNamed) {
  const char* const kNames[] = {
      "config.json",        "model.safetensors",      "model.safetensors.index.json",
      "tokenizer.json",     "tokenizer_config.json",  "special_tokens_map.json",
      "added_tokens.json",  "generation_config.json", "chat_template.json",
      "chat_template.jinja"};
  for (const char* name : kNames) {
    TempDir folder;
    const EngineArgs options = whole_model(folder);
    expect_named(name, options, folder.file(name));
  }
  TempDir folder;
  EXPECT_TRUE(assemble(whole_model(folder)).ok());
}

TEST(OddFiles, InPlaceOfAShardOrTheOnlyWeights) {
  for (const char* index : {"", R"({"weight_map":{"a":"shard.safetensors"}})"}) {
    TempDir folder;
    const EngineArgs options = whole_model(folder);
    fs::remove(folder.file("model.safetensors"));
    if (*index != 0) testing::write_file(folder.file("model.safetensors.index.json"), index);
    expect_named("shard.safetensors", options, folder.file("shard.safetensors"));
  }
}

TEST(OddFiles, ThatFlagsNameAreNamed) {
  TempDir folder, elsewhere;
  const EngineArgs plain = whole_model(folder);
  const std::string path = elsewhere.file("file");
  EngineArgs options = plain;
  options.frontend.chat_template = path;
  expect_named("--chat-template", options, path);
  options = plain;
  options.model.load_format = "dummy";
  options.model.hf_config = path;
  expect_named("--hf-config", options, path);
  options = plain;
  options.frontend.generation_config = elsewhere.path();
  expect_named("--generation-config", options, elsewhere.file("generation_config.json"));
}

}  // namespace
}  // namespace pagoda
