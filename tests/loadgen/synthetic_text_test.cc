#include "loadgen/synthetic_text.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/mmap.h"
#include "tests/testing/test_data.h"

namespace pagoda {
namespace {

std::shared_ptr<const Tokenizer> demo_tokenizer() {
  std::string json = read_file(testing::source_path("demo/model/tokenizer.json")).value();
  return Tokenizer::from_json(json).value();
}

TEST(SyntheticText, TextHasTheTokensAskedFor) {
  auto tokenizer = demo_tokenizer();
  SyntheticText text = SyntheticText::as_text(tokenizer);
  SplitMix64 rng(1);
  for (int64_t wanted : {1, 2, 17, 300}) {
    BenchPrompt prompt = text.make(text.draw(wanted, &rng), &rng);
    std::vector<int32_t> ids;
    tokenizer->encode(prompt.text, {.add_special_tokens = true}, &ids);
    EXPECT_EQ(prompt.prompt_len, std::ssize(ids)) << "what is claimed is what the server will count";
    EXPECT_EQ(prompt.prompt_len, wanted);
    EXPECT_TRUE(prompt.ids.empty());
    EXPECT_EQ(text.count_tokens(prompt.text), prompt.prompt_len);
  }
}

TEST(SyntheticText, PromptsShareWhatTheirUnitsShare) {
  SyntheticText text = SyntheticText::as_words();
  SplitMix64 rng(1);
  std::vector<int32_t> first = text.draw(5, &rng), second = first, tail = text.draw(3, &rng);
  first.insert(first.end(), tail.begin(), tail.end());
  BenchPrompt longer = text.make(first, &rng), shorter = text.make(second, &rng);
  EXPECT_TRUE(longer.text.starts_with(shorter.text + " "));
  EXPECT_EQ(std::count(longer.text.begin(), longer.text.end(), ' '), 7);
  EXPECT_EQ(longer.prompt_len, 8);
}

TEST(SyntheticText, IdsStayInTheVocabularyAndAreNeverSpecial) {
  SplitMix64 rng(1);
  SyntheticText plain = SyntheticText::as_ids(11);
  BenchPrompt prompt = plain.make(plain.draw(1000, &rng), &rng);
  EXPECT_EQ(prompt.prompt_len, 1000);
  EXPECT_EQ(*std::min_element(prompt.ids.begin(), prompt.ids.end()), 0);
  EXPECT_EQ(*std::max_element(prompt.ids.begin(), prompt.ids.end()), 10);
  auto tokenizer = demo_tokenizer();
  for (int32_t id : SyntheticText::as_ids(tokenizer).draw(20000, &rng)) {
    ASSERT_LT(id, tokenizer->vocab_size());
    ASSERT_FALSE(tokenizer->is_special(id));
  }
}

}  // namespace
}  // namespace pagoda
