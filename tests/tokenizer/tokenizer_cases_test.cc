// Small tokenizers of every kind that is built, against what the `tokenizers` library makes of the same file
// (make_tokenizer_cases.py wrote both).
#include "tests/tokenizer/tokenizer_fixture.h"
#include "tokenizer/detokenizer.h"

namespace pagoda {
namespace {

class TokenizerCases : public ::testing::TestWithParam<std::string> {};

const Value& all_groups() {
  static const Value groups =
      testing::load_json_file(testing::source_path("tests/tokenizer/tokenizer_cases.json"));
  return groups;
}

TEST_P(TokenizerCases, AgreeWithTokenizers) {
  const Value* group = nullptr;
  for (const Value& one : all_groups().as_array())
    if (one.find("name")->as_string() == GetParam()) group = &one;
  ASSERT_NE(group, nullptr);
  for (bool piece_cache : {true, false}) {
    auto tokenizer =
        Tokenizer::from_json(write_json(*group->find("tokenizer")), {.piece_cache = piece_cache});
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    for (const Value& one : group->find("cases")->as_array()) {
      SCOPED_TRACE(write_json(*one.find("text")));
      EncodeOptions options{one.find("add_special_tokens")->as_bool(), one.find("parse_special")->as_bool()};
      std::vector<int32_t> ids = testing::ids_of(*one.find("ids"));
      EXPECT_EQ(testing::encode(**tokenizer, one.find("text")->as_string(), options), ids);
      for (bool skip : {false, true}) {
        const std::string& expected = one.find(skip ? "decoded_skip_special" : "decoded")->as_string();
        EXPECT_EQ((*tokenizer)->decode(ids, skip), expected);
        IncrementalDetokenizer detokenizer(*tokenizer, skip, true);
        std::string pieces;
        for (int32_t id : ids) pieces += detokenizer.push(id);
        EXPECT_EQ(pieces + detokenizer.finish(), expected);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerCases,
                         ::testing::Values("gpt2", "gpt4", "o200k", "falcon", "lines", "prefix_space",
                                           "merged", "inverted", "prepend", "metaspace_first",
                                           "metaspace_split", "metaspace_never", "gemma", "words"),
                         [](const auto& param) { return param.param; });

TEST(TokenizerCasesFile, HoldsNothingElse) {
  EXPECT_EQ(all_groups().as_array().size(), 14u);
}

}  // namespace
}  // namespace pagoda
