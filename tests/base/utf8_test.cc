#include "base/utf8.h"

#include <gtest/gtest.h>

#include <vector>

namespace pagoda {
namespace {

TEST(Utf8, EveryCodePointSurvivesARoundTrip) {
  for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 37) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(&text, c);
    Utf8Char back = decode_utf8(text, 0);
    ASSERT_TRUE(back.valid);
    ASSERT_EQ(back.code_point, c);
    ASSERT_EQ(back.length, text.size());
  }
}

// Expected texts: Python 3.11, bytes.decode("utf-8", "replace").
TEST(Utf8, IllFormedPartsBecomeReplacementCharacters) {
  struct Case {
    std::string bytes, text;
  } cases[] = {
      {"a\xff"
       "b",
       "a\xEF\xBF\xBD"
       "b"},
      {"\xE2\x82", "\xEF\xBF\xBD"},  // one for an unfinished sequence
      {"\xE2\x82X", "\xEF\xBF\xBDX"},
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},  // a surrogate
      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                  // overlong
      {"\xF0\x9F\x99\x82", "\xF0\x9F\x99\x82"},
      {"\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
      {"\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(sanitize_utf8(c.bytes), c.text);
    EXPECT_EQ(is_valid_utf8(c.bytes), c.bytes == c.text);
    EXPECT_TRUE(is_valid_utf8(sanitize_utf8(c.bytes)));
  }
}

TEST(Utf8, OnlyAnUnfinishedEndIsHeldBack) {
  struct Case {
    std::string bytes;
    std::size_t complete;
  } cases[] = {{"", 0},
               {"ab", 2},
               {"a\xE2", 1},
               {"a\xE2\x82", 1},
               {"a\xE2\x82\xAC", 4},
               {"\xF0\x9F\x99", 0},
               {"a\x80", 2},
               {"a\xE2X", 3},
               {"\xED\xA0", 2},
               {"\xC0", 1},
               {"\xF0\x9F\x99\x82", 4},
               {"\x80\x80\x80\x80", 4}};
  for (const Case& c : cases) EXPECT_EQ(complete_utf8_prefix(c.bytes), c.complete) << c.bytes;
}

TEST(Utf8, CodePointsAreCounted) {
  EXPECT_EQ(count_code_points(""), 0u);
  EXPECT_EQ(count_code_points("a\u00e9\u6771\U0001f44d"), 4u);
}

}  // namespace
}  // namespace pagoda
