#include "assembly/model_info_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

ModelSpec spec_of(const testing::TinyModel& model, std::vector<int32_t> eos) {
  ModelSpec spec = read_model_spec(model.config_json(), "config.json").value();
  spec.config.eos_token_ids = std::move(eos);
  return spec;
}

TEST(ModelInfo, EndsAndDefaultsComeFromAllFiles) {
  TempDir folder;
  testing::write_file(folder.file("generation_config.json"),
                      R"({"eos_token_id":[7,3,4000],"temperature":0.5,"top_k":20,"do_sample":true})");
  ModelFiles files = ModelFiles::open(folder.path()).value();
  ModelSpec spec = spec_of(testing::make_tiny_model({}), {3});
  EngineArgs options;
  options.model.path = folder.path();
  options.frontend.served_names = {"a", "b"};
  options.frontend.override_generation_config = parse_json(R"({"top_k":5})").value();
  options.frontend.default_template_kwargs = parse_json(R"({"x":1})").value();
  TextAssets assets;
  assets.special_tokens.set("bos_token", "<s>");

  auto built = build_model_info(options, files, spec, assets, 99);
  ASSERT_TRUE(built.ok()) << built.status().message();
  const ModelInfo& info = **built;
  EXPECT_EQ(info.eos_token_ids, (std::vector<TokenId>{3, 7}));  // each once, none beyond the vocabulary
  EXPECT_EQ(write_json(Value(info.default_sampling)), R"({"temperature":0.5,"top_k":5})");
  EXPECT_EQ(write_json(Value(info.default_template_kwargs)), R"({"bos_token":"<s>","x":1})");
  EXPECT_EQ(info.served_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(info.root, folder.path());
  EXPECT_EQ(info.max_model_len, 99);
  EXPECT_EQ(info.vocab_size, 96);

  testing::write_file(folder.file("generation_config.json"), R"({"eos_token_id":"7"})");
  EXPECT_THAT(build_model_info(options, files, spec, assets, 99).status().message(),
              HasSubstr("generation_config.json: `eos_token_id`: expected a token id"));

  options.frontend.generation_config = "vllm";  // the model's own are not looked at
  options.frontend.override_generation_config = Value();
  built = build_model_info(options, files, spec, assets, 99);
  EXPECT_TRUE((*built)->default_sampling.empty());
  EXPECT_EQ((*built)->eos_token_ids, (std::vector<TokenId>{3}));
}

}  // namespace
}  // namespace pagoda
