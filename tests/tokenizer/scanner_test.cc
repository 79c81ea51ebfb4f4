#include "tokenizer/scanner.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "tokenizer/char_class.h"
#include "tokenizer/regex.h"

namespace pagoda {
namespace {

constexpr const char* kPatterns[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
};

// The pieces of `text` must be the matches of the expression. PCRE2 and utf8proc may follow different
// editions of Unicode, so characters that one of them does not know are left out by the callers.
void expect_same_pieces(const Scanner& scanner, const Regex& regex, const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    std::size_t begin = 0, end = 0;
    ASSERT_TRUE(regex.find(text, at, &begin, &end)) << ::testing::PrintToString(text) << " at " << at;
    ASSERT_EQ(begin, at) << ::testing::PrintToString(text);
    ASSERT_EQ(scanner.next(text, at), end) << ::testing::PrintToString(text) << " at " << at;
    at = end;
  }
}

bool known_to_both(uint32_t c) {
  static const Regex unassigned = Regex::compile(R"(\p{Cn})").value();
  if (c >= 0xD800 && c < 0xE000) return false;
  std::string text;
  append_utf8(&text, c);
  std::size_t begin, end;
  bool unknown_there = unassigned.find(text, 0, &begin, &end);
  return !unknown_there && utf8proc_category(static_cast<int32_t>(c)) != UTF8PROC_CATEGORY_CN;
}

TEST(Scanner, KnowsItsExpressionsOnly) {
  for (const char* pattern : kPatterns) EXPECT_TRUE(Scanner::for_pattern(pattern).has_value());
  EXPECT_FALSE(Scanner::for_pattern(R"(\s+)").has_value());
  EXPECT_FALSE(Scanner::for_pattern("").has_value());
  std::string longer = kPatterns[1];
  longer += "|x";
  EXPECT_FALSE(Scanner::for_pattern(longer).has_value());
}

TEST(Scanner, EveryCharacterIsClassedAsTheExpressionDoes) {
  const Regex letter = Regex::compile(R"(\p{L})").value(), number = Regex::compile(R"(\p{N})").value(),
              space = Regex::compile(R"(\s)").value();
  for (uint32_t c = 0; c < 0x110000; c += c < 0x30000 ? 1 : 13) {
    if (!known_to_both(c)) continue;
    std::string text;
    append_utf8(&text, c);
    std::size_t begin, end;
    CharClass expected = letter.find(text, 0, &begin, &end)   ? CharClass::kLetter
                         : number.find(text, 0, &begin, &end) ? CharClass::kNumber
                         : c == '\r' || c == '\n'             ? CharClass::kNewline
                         : space.find(text, 0, &begin, &end)  ? CharClass::kSpace
                                                              : CharClass::kOther;
    ASSERT_EQ(char_class(c), expected) << std::hex << c;
    ASSERT_EQ(is_white_space(c), expected == CharClass::kNewline || expected == CharClass::kSpace)
        << std::hex << c;
    ASSERT_EQ(is_numeric(c), expected == CharClass::kNumber) << std::hex << c;
  }
}

TEST(Scanner, RandomTextsSplitAsTheExpressionDoes) {
  static constexpr const char* kParts[] = {" ",
                                           " ",
                                           "  ",
                                           "\n",
                                           "\r\n",
                                           "\t",
                                           "a",
                                           "B",
                                           "word",
                                           "'s",
                                           "'S",
                                           "'\xC5\xBF",
                                           "'ll",
                                           "'LL",
                                           "'re",
                                           "'v",
                                           "'Ve",
                                           "'t",
                                           "'d",
                                           "'m",
                                           "'",
                                           "1",
                                           "22",
                                           "333",
                                           "4444",
                                           "\xC2\xB2",
                                           "!",
                                           "...",
                                           "$",
                                           "_",
                                           "\xC3\xA9",
                                           "\xCC\x81",
                                           "\xE6\x97\xA5",
                                           "\xF0\x9F\x99\x82",
                                           "\xC2\xA0",
                                           "\xE3\x80\x80",
                                           "\xC2\x85",
                                           "\xE1\xA0\x8E",
                                           "\xE2\x80\xA8",
                                           "\x00",
                                           "\x0B",
                                           "\xE2\x85\xA7",
                                           "\xD9\xA1"};
  for (const char* pattern : kPatterns) {
    Scanner scanner = Scanner::for_pattern(pattern).value();
    Regex regex = Regex::compile(pattern).value();
    SplitMix64 rng(3);
    for (int round = 0; round < 20000; ++round) {
      std::string text;
      for (uint64_t parts = 1 + rng.below(12); parts > 0; --parts) {
        if (rng.below(8) != 0) {
          text += kParts[rng.below(std::size(kParts))];
          continue;
        }
        auto c = static_cast<uint32_t>(rng.below(0x3400));
        if (known_to_both(c)) append_utf8(&text, c);
      }
      ASSERT_NO_FATAL_FAILURE(expect_same_pieces(scanner, regex, text));
    }
  }
}

}  // namespace
}  // namespace pagoda
