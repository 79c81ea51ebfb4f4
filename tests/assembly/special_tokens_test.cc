#include "assembly/special_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assembly/text_assets.h"
#include "base/json.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::write_file;

std::string tokenizer_json(const std::string& added) {
  return R"({"version":"1.0","added_tokens":)" + added + R"(,"normalizer":null,"pre_tokenizer":null,
      "post_processor":null,"decoder":{"type":"Fuse"},"model":{"type":"BPE","merges":[],
      "vocab":{"a":0,"b":1,"<s>":2,"[":3,"]":4,"X":5,"P":6," ":7,"Y":8}}})";
}

// Files of a folder (null: none), and what transformers 5.24 with tokenizers 0.23 makes of "a <s> b[X][P]Y":
// its ids, those decoded without special tokens, and special_tokens_map.
struct Case {
  const char *name, *added, *config, *map, *added_file;
  std::vector<int32_t> ids;
  const char *text, *named;
};
const Case kCases[] = {
    {"none", R"([])", nullptr, nullptr, nullptr, {0, 7, 7, 1, 3, 5, 4, 3, 6, 4, 8}, "a  b[X][P]Y", R"({})"},
    {"decoder",
     R"([])",
     R"({"added_tokens_decoder":{"2":{"content":"<s>","special":true}}})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({})"},
    {"decoder, new",
     R"([{"id":2,"content":"<s>","special":true}])",
     R"({"added_tokens_decoder":{"9":{"content":"[X]","special":true},"10":{"content":"[P]"}}})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 9, 10, 8},
     "a  b[P]Y",
     R"({})"},
    {"decoder order",
     R"([])",
     R"({"added_tokens_decoder":{"12":{"content":"[P]","special":true},"11":{"content":"[X]","special":true}}})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 10, 8},
     "a  bY",
     R"({})"},
    {"decoder clash",
     R"([])",
     R"({"added_tokens_decoder":{"0":{"content":"[P]","special":true}}})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 3, 5, 4, 9, 8},
     "a  b[X]Y",
     R"({})"},
    {"pad",
     R"([{"id":2,"content":"<s>","special":true}])",
     R"({"added_tokens_decoder":{"2":{"content":"<s>","special":true},"9":{"content":"[P]","special":true}},"pad_token":"[P]"})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 9, 8},
     "a  b[X]Y",
     R"({"pad_token":"[P]"})"},
    {"names",
     R"([])",
     R"({"bos_token":"<s>","pad_token":"[P]","eos_token":"[X]"})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 9, 10, 8},
     "a  bY",
     R"({"bos_token":"<s>","eos_token":"[X]","pad_token":"[P]"})"},
    {"object",
     R"([])",
     R"({"bos_token":{"__type":"AddedToken","content":"<s>","special":true,"lstrip":true}})",
     nullptr,
     nullptr,
     {0, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"named not special in decoder",
     R"([])",
     R"({"added_tokens_decoder":{"2":{"content":"<s>"}},"bos_token":"<s>"})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"named not special in file, with decoder",
     R"([{"id":2,"content":"<s>"}])",
     R"({"added_tokens_decoder":{},"bos_token":"<s>"})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a <s> b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"named not special in file",
     R"([{"id":2,"content":"<s>"}])",
     R"({"bos_token":"<s>"})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"rules of the decoder",
     R"([{"id":2,"content":"<s>","special":true}])",
     R"({"added_tokens_decoder":{"2":{"content":"<s>","special":true,"lstrip":true,"rstrip":true}}})",
     nullptr,
     nullptr,
     {0, 2, 1, 3, 5, 4, 3, 6, 4, 8},
     "ab[X][P]Y",
     R"({})"},
    {"special for good",
     R"([{"id":2,"content":"<s>","special":true}])",
     R"({"added_tokens_decoder":{"2":{"content":"<s>"}}})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({})"},
    {"additional",
     R"([])",
     R"({"additional_special_tokens":["[X]","<s>"]})",
     nullptr,
     nullptr,
     {0, 7, 2, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({})"},
    {"extra wins",
     R"([])",
     R"({"additional_special_tokens":["[X]"],"extra_special_tokens":["[P]"]})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 3, 5, 4, 9, 8},
     "a  b[X]Y",
     R"({})"},
    {"extra empty",
     R"([])",
     R"({"additional_special_tokens":["[X]"],"extra_special_tokens":[]})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({})"},
    {"extra object",
     R"([])",
     R"({"extra_special_tokens":{"image_token":"[X]"}})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({"image_token":"[X]"})"},
    {"own name",
     R"([])",
     R"({"image_token":"[X]","pad_token":"[P]"})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 10, 9, 8},
     "a  bY",
     R"({"pad_token":"[P]","image_token":"[X]"})"},
    {"map",
     R"([])",
     R"({})",
     R"({"bos_token":"<s>","additional_special_tokens":["[X]"]})",
     nullptr,
     {0, 7, 2, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({"bos_token":"<s>"})"},
    {"map objects",
     R"([])",
     R"({})",
     R"({"bos_token":{"content":"<s>","special":true,"lstrip":true}})",
     nullptr,
     {0, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"map wins",
     R"([])",
     R"({"bos_token":"[X]"})",
     R"({"bos_token":"<s>"})",
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"map unread",
     R"([])",
     R"({"added_tokens_decoder":{}})",
     R"({"bos_token":"<s>"})",
     R"({"[X]":9})",
     {0, 7, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({})"},
    {"map alone",
     R"([])",
     nullptr,
     R"({"bos_token":"<s>"})",
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"added file",
     R"([])",
     R"({"bos_token":"<s>"})",
     nullptr,
     R"({"[X]":10,"[P]":9,"<s>":2})",
     {0, 7, 2, 7, 1, 10, 9, 8},
     "a  b[X][P]Y",
     R"({"bos_token":"<s>"})"},
    {"added file, in file",
     R"([{"id":2,"content":"<s>","special":true,"lstrip":true}])",
     R"({})",
     nullptr,
     R"({"<s>":2,"[P]":9})",
     {0, 2, 7, 1, 3, 5, 4, 9, 8},
     "a b[X][P]Y",
     R"({})"},
    {"null",
     R"([{"id":2,"content":"<s>","special":true}])",
     R"({"bos_token":null,"additional_special_tokens":null,"extra_special_tokens":null})",
     R"({"bos_token":null})",
     nullptr,
     {0, 7, 2, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({})"},
    {"file order",
     R"([{"id":20,"content":"[X]","special":true},{"id":9,"content":"[P]","special":true}])",
     R"({})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 10, 8},
     "a  bY",
     R"({})"},
    {"extra empty, map",
     R"([])",
     R"({"extra_special_tokens":[]})",
     R"({"additional_special_tokens":["[X]"]})",
     nullptr,
     {0, 7, 7, 1, 3, 5, 4, 3, 6, 4, 8},
     "a  b[X][P]Y",
     R"({})"},
    {"extra object and list",
     R"([])",
     R"({"additional_special_tokens":["[P]"],"extra_special_tokens":{"image_token":"[X]"}})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 10, 8},
     "a  bY",
     R"({"image_token":"[X]"})"},
    {"two rules",
     R"([])",
     R"({"pad_token":{"__type":"AddedToken","content":"[X]","special":true,"lstrip":true,"single_word":true},"additional_special_tokens":["[X]"]})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({"pad_token":"[X]"})"},
    {"own name in added file",
     R"([])",
     R"({"image_token":"[X]"})",
     nullptr,
     R"({"[X]":9,"[":3})",
     {0, 7, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({"image_token":"[X]"})"},
    {"normalized later",
     R"([{"id":9,"content":"X]","special":true}])",
     R"({"added_tokens_decoder":{"9":{"content":"X]","special":true,"normalized":true}},"bos_token":"["})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 3, 9, 3, 6, 4, 8},
     "a  bP]Y",
     R"({"bos_token":"["})"},
    {"white space of two",
     R"([])",
     R"({"bos_token":{"__type":"AddedToken","content":"<s>","special":true,"rstrip":true},"eos_token":" b"})",
     nullptr,
     nullptr,
     {0, 7, 2, 9, 3, 5, 4, 3, 6, 4, 8},
     "a [X][P]Y",
     R"({"bos_token":"<s>","eos_token":" b"})"},
    {"twice in file",
     R"([{"id":9,"content":"[X]"},{"id":10,"content":"[X]","special":true,"lstrip":true}])",
     R"({})",
     nullptr,
     nullptr,
     {0, 7, 7, 1, 9, 3, 6, 4, 8},
     "a  b[P]Y",
     R"({})"},
};

TEST(SpecialTokens, AreThoseThatTransformersFinds) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    TempDir folder;
    write_file(folder.file("tokenizer.json"), tokenizer_json(c.added));
    if (c.config != nullptr) write_file(folder.file("tokenizer_config.json"), c.config);
    if (c.map != nullptr) write_file(folder.file("special_tokens_map.json"), c.map);
    if (c.added_file != nullptr) write_file(folder.file("added_tokens.json"), c.added_file);
    auto assets = load_text_assets(ModelFiles::open(folder.path()).value(), "");
    ASSERT_TRUE(assets.ok()) << assets.status().message();
    std::vector<int32_t> ids;
    assets->tokenizer->encode("a <s> b[X][P]Y", {}, &ids);
    EXPECT_EQ(ids, c.ids);
    EXPECT_EQ(assets->tokenizer->decode(ids, true), c.text);
    EXPECT_EQ(write_json(Value(assets->special_tokens)), c.named);
    ids.clear();
    load_tokenizer(folder.path()).value()->encode("a <s> b[X][P]Y", {}, &ids);
    EXPECT_EQ(ids, c.ids);
  }
}

TEST(SpecialTokens, ErrorsNameFileAndMember) {
  struct BadFile {
    const char *file, *json, *words;
  };
  const BadFile cases[] = {
      {"tokenizer_config.json", R"({"pad_token":5})", "`pad_token`: expected a string"},
      {"tokenizer_config.json", R"({"pad_token":["x"]})", "`pad_token`: expected a string"},
      {"tokenizer_config.json", R"({"pad_token":{"content":5}})", "`pad_token`: expected a string"},
      {"tokenizer_config.json", R"({"pad_token":{"content":"x","lstrip":1}})", "`pad_token.lstrip`"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":[]})",
       "`added_tokens_decoder`: expected an object"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"9":"[X]"}})", "`added_tokens_decoder.9`"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"x":{"content":"y"}}})", "key is not an id"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"-1":{"content":"y"}}})", "key is not an id"},
      {"tokenizer_config.json", R"({"added_tokens_decoder":{"99999999999999999999":{}}})",
       "key is not an id"},
      {"tokenizer_config.json", R"({"additional_special_tokens":"x"})", "`additional_special_tokens`"},
      {"tokenizer_config.json", R"({"additional_special_tokens":[1]})", "`additional_special_tokens.0`"},
      {"tokenizer_config.json", "[]", "must hold a JSON object"},
      {"tokenizer_config.json", "", "is empty"},
      {"special_tokens_map.json", R"({"eos_token":true})", "`eos_token`: expected a string"},
      {"special_tokens_map.json", "7", "must hold a JSON object"},
      {"added_tokens.json", R"({"x":"y"})", "`x`: expected an id"},
      {"added_tokens.json", R"({"x":-1})", "`x`: expected an id"},
      {"added_tokens.json", "[]", "must hold a JSON object"},
  };
  for (const BadFile& c : cases) {
    SCOPED_TRACE(std::string(c.file) + " " + c.json);
    TempDir folder;
    write_file(folder.file("tokenizer.json"), tokenizer_json("[]"));
    write_file(folder.file(c.file), c.json);
    Status status = load_tokenizer(folder.path()).status();
    EXPECT_THAT(status.message(), HasSubstr(c.file));
    EXPECT_THAT(status.message(), HasSubstr(c.words));
  }
}

// A hostile file costs what its size says.
TEST(SpecialTokens, ManyTokensTakeLinearTime) {
  std::string decoder, list, names;
  for (int i = 0; i < 50'000; ++i) {
    const std::string number = std::to_string(i);
    decoder += ",\"" + std::to_string(9 + i) + "\":{\"content\":\"[D" + number + "]\"}";
    list += ",\"[L" + number + "]\"";
    names += ",\"n" + number + "_token\":\"x\"";
  }
  TempDir folder;
  write_file(folder.file("tokenizer.json"), tokenizer_json("[]"));
  write_file(folder.file("tokenizer_config.json"), R"({"added_tokens_decoder":{)" + decoder.substr(1) +
                                                       R"(},"extra_special_tokens":[)" + list.substr(1) +
                                                       "]}");
  auto tokenizer = load_tokenizer(folder.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->vocab_size(), 9 + 100'000);
  EXPECT_EQ((*tokenizer)->token_to_id("[L49999]"), 9 + 99'999);
  write_file(folder.file("tokenizer_config.json"), "{" + names.substr(1) + "}");
  EXPECT_THAT(load_tokenizer(folder.path()).status().message(), HasSubstr("too many names"));
}

}  // namespace
}  // namespace pagoda
