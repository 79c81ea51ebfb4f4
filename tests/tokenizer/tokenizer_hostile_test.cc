// One megabyte of the worst: every text must be encoded in time that grows like n log n. The bounds are
// generous (an optimised build needs about a second for the slowest); what is quadratic takes minutes.
#include <chrono>

#include "base/rng.h"
#include "base/utf8.h"
#include "tests/tokenizer/tokenizer_fixture.h"

namespace pagoda {
namespace {

std::string repeated(std::string_view unit, std::size_t bytes = 1 << 20) {
  std::string text;
  text.reserve(bytes + unit.size());
  while (text.size() < bytes) text += unit;
  return text;
}

struct HostileText {
  const char* name;
  std::string text;
};

std::vector<HostileText> hostile_texts() {
  constexpr std::size_t kSome = 1 << 17;
  std::vector<HostileText> texts = {
      {"one letter", repeated("a")},
      {"spaces", repeated(" ")},
      {"emoji", repeated("\xF0\x9F\x99\x82")},
      {"newlines", repeated("\n")},
      {"alternating combining marks", "a" + repeated("\xCC\x81\xCC\xA3")},
      {"spaces, then a letter", repeated(" ", kSome) + "a"},
      {"spaces, then a newline", repeated(" ", kSome) + "\n"},
      {"newlines and spaces", repeated("\n ", kSome)},
      {"Hangul vowels", repeated("\xE1\x85\xA1", kSome)},
      {"marks of SentencePiece", repeated("\xE2\x96\x81", kSome)},
      {"apostrophes", repeated("'", kSome)},
      {"digits", repeated("1", kSome)},
      {"beginnings of special tokens", repeated("<|reserved_special_token_", kSome)},
      {"ill-formed bytes", repeated("\xE2\x96", kSome)},
  };
  SplitMix64 rng(1);
  std::string letters, anything;
  while (letters.size() < kSome) letters += static_cast<char>('a' + rng.below(26));
  while (anything.size() < kSome) append_utf8(&anything, static_cast<uint32_t>(rng.below(0x3000)));
  texts.push_back({"one random word", std::move(letters)});
  texts.push_back({"random characters", std::move(anything)});
  return texts;
}

class HostileText1Mb : public ::testing::TestWithParam<const char*> {};

TEST_P(HostileText1Mb, TakesSecondsNotMinutes) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "tokenizers");
  auto tokenizer = testing::load_vocabulary(GetParam());
  ASSERT_NE(tokenizer, nullptr);
  for (const HostileText& hostile : hostile_texts()) {
    auto begin = std::chrono::steady_clock::now();
    std::vector<int32_t> ids = testing::encode(*tokenizer, hostile.text);
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), 20) << hostile.name;
    EXPECT_FALSE(ids.empty()) << hostile.name;
    // Of these vocabularies this one alone changes nothing on the way.
    if (std::string(GetParam()) == "llama-3.1") {
      EXPECT_TRUE(tokenizer->decode(ids, false) == sanitize_utf8(hostile.text)) << hostile.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, HostileText1Mb, ::testing::Values("llama-3.1", "qwen2.5", "llama-2"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

}  // namespace
}  // namespace pagoda
