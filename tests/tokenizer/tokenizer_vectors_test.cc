// Real vocabularies against the ids that their own tokenizers gave.
#include "tests/tokenizer/tokenizer_fixture.h"
#include "tokenizer/detokenizer.h"

namespace pagoda {
namespace {

using testing::encode;
using testing::ids_of;

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// What transformers may do to a decoded text afterwards (clean_up_tokenization_spaces); some of the expected
// texts went through it.
std::string clean_up_spaces(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (auto [from, to] : kPairs) text = replace_all(std::move(text), from, to);
  return text;
}

std::string decode_in_pieces(const std::shared_ptr<const Tokenizer>& tokenizer,
                             const std::vector<int32_t>& ids, bool skip_special) {
  IncrementalDetokenizer detokenizer(tokenizer, skip_special, true);
  std::string text;
  for (int32_t id : ids) text += detokenizer.push(id);
  return text + detokenizer.finish();
}

// Decodes `ids` whole and in pieces; both must be `expected`, or what clean_up_spaces leaves of it.
void expect_decodes(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<int32_t>& ids,
                    bool skip_special, const std::string& expected) {
  std::string text = tokenizer->decode(ids, skip_special);
  EXPECT_EQ(decode_in_pieces(tokenizer, ids, skip_special), text);
  EXPECT_EQ(text == expected ? text : clean_up_spaces(text), expected);
}

TEST(TokenizerVectors, EveryCaseMatchesAndDecodesBack) {
  PAGODA_TEST_DATA_OR_SKIP(path, "tokenizers/vectors.json");
  Value groups = testing::load_json_file(path);
  ASSERT_TRUE(groups.is_array());
  int cases = 0;
  for (const Value& group : groups.as_array()) {
    const std::string& vocabulary = group.find("vocab")->as_string();
    if (vocabulary.starts_with("gguf/")) continue;
    auto tokenizer = testing::load_vocabulary(vocabulary);
    ASSERT_NE(tokenizer, nullptr);
    bool bos_in_ids = group.find("bos_in_ids")->as_bool();
    for (const Value& one : group.find("cases")->as_array()) {
      const std::string& text = one.find("text")->as_string();
      SCOPED_TRACE(group.find("name")->as_string() + ": " + text);
      std::vector<int32_t> ids = ids_of(*one.find("ids"));
      EXPECT_EQ(encode(*tokenizer, text, {.add_special_tokens = bos_in_ids}), ids);
      if (const Value* special = one.find("ids_special")) {
        EXPECT_EQ(encode(*tokenizer, text, {.add_special_tokens = true}), ids_of(*special));
      }
      const Value* decoded = one.find("decoded");
      if (decoded != nullptr) expect_decodes(tokenizer, ids, false, decoded->as_string());
      const Value* skipped = one.find("decoded_skip_special");
      if (skipped != nullptr) expect_decodes(tokenizer, ids, true, skipped->as_string());
      if (decoded == nullptr) expect_decodes(tokenizer, ids, bos_in_ids, text);
      ++cases;
    }
  }
  EXPECT_EQ(cases, 218);
}

TEST(TokenizerVectors, StoriesMatchesRunC) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "models/stories260K");
  auto tokenizer = testing::load_tokenizer(folder + "/tokenizer.json");
  ASSERT_NE(tokenizer, nullptr);
  Value cases = testing::load_json_file(folder + "/tokenizer_cases_run_c.json");
  for (const Value& one : cases.find("cases")->as_array()) {
    const std::string& text = one.find("text")->as_string();
    SCOPED_TRACE(text);
    std::vector<int32_t> ids = ids_of(*one.find("ids"));
    EXPECT_EQ(encode(*tokenizer, text, {.add_special_tokens = true}), ids);
    EXPECT_EQ(tokenizer->decode(ids, true), text);
  }
  EXPECT_EQ(cases.find("cases")->as_array().size(), 12u);
}

TEST(TokenizerVectors, SpecialTokensInTheTextAreReadOnlyWhenAsked) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "tokenizers");
  auto tokenizer = testing::load_vocabulary("llama-3.1");
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = "a<|eot_id|>b";
  std::vector<int32_t> parsed = encode(*tokenizer, text),
                       plain = encode(*tokenizer, text, {.parse_special = false});
  EXPECT_EQ(parsed, (std::vector<int32_t>{64, 128009, 65}));
  EXPECT_GT(plain.size(), 3u);
  for (int32_t id : plain) EXPECT_FALSE(tokenizer->is_special(id));
  EXPECT_EQ(tokenizer->decode(plain, true), text);
  EXPECT_EQ(tokenizer->decode(parsed, true), "ab");
  // Not special, so found in any text: Qwen's <think>.
  auto qwen = testing::load_vocabulary("qwen3");
  ASSERT_NE(qwen, nullptr);
  int32_t think = qwen->token_to_id("<think>").value_or(-1);
  EXPECT_EQ(encode(*qwen, "<think>", {.parse_special = false}), std::vector<int32_t>{think});
  EXPECT_FALSE(qwen->is_special(think));
  EXPECT_TRUE(qwen->is_special(*qwen->token_to_id("<|im_end|>")));
}

TEST(TokenizerVectors, LooksUpTokens) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "tokenizers");
  auto llama3 = testing::load_vocabulary("llama-3.1"), llama2 = testing::load_vocabulary("llama-2");
  ASSERT_TRUE(llama3 != nullptr && llama2 != nullptr);
  EXPECT_EQ(llama3->vocab_size(), 128256);
  EXPECT_EQ(llama3->token_to_id("<|begin_of_text|>"), 128000);
  EXPECT_EQ(llama3->id_to_token(1917), "\xC4\xA0world");
  EXPECT_EQ(llama3->token_bytes(1917), " world");
  EXPECT_EQ(llama3->token_to_id("no such token"), std::nullopt);
  EXPECT_EQ(llama3->id_to_token(-1), "");
  EXPECT_EQ(llama3->token_bytes(128256), "");
  EXPECT_FALSE(llama3->strips_leading_space());
  EXPECT_TRUE(llama2->strips_leading_space());
  EXPECT_EQ(llama2->token_bytes(13), "\n");
  EXPECT_EQ(llama2->id_to_token(13), "<0x0A>");
  EXPECT_EQ(llama2->token_bytes(15043), " Hello");
  EXPECT_EQ(llama2->decode(std::vector<int32_t>{15043, 15043}, false), "Hello Hello");
}

// Every text must come back whole, whatever the vocabulary, where nothing normalizes it away.
TEST(TokenizerVectors, DecodingInvertsEncoding) {
  PAGODA_TEST_DATA_OR_SKIP(path, "text/frankenstein.txt");
  Result<std::string> text = read_file(path);
  ASSERT_TRUE(text.ok());
  for (const char* name : testing::kVocabularies) {
    auto tokenizer = testing::load_vocabulary(name);
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->decode(encode(*tokenizer, *text), false), *text) << name;
  }
}

}  // namespace
}  // namespace pagoda
