#include "base/excerpt.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/log.h"

namespace pagoda {
namespace {

TEST(Excerpt, OfTextsEndsWithAWholeCharacter) {
  const struct {
    const char* text;
    std::size_t chars;
    const char* shown;
  } cases[] = {
      {"", 0, ""},
      {"", 3, ""},
      {"abc", 3, "abc"},
      {"abcd", 3, "abc..."},
      {"abc", 0, "..."},
      {"h\u00e9llo", 2, "h\u00e9..."},
      {"\U0001F642\U0001F642", 1, "\U0001F642..."},
      {"\xFF\xFE", 1, "\xFF..."},
  };
  for (const auto& one : cases) EXPECT_EQ(excerpt(one.text, one.chars), one.shown) << one.text;
}

TEST(Excerpt, OfValuesIsWholeJson) {
  const struct {
    const char* value;
    std::size_t chars;
    const char* shown;
  } cases[] = {
      {R"("abcdef")", 3, R"("abc"...)"},
      {R"("\"\"\"\"")", 3, R"("\"\"\""...)"},
      {"123456", 1, "123456"},
      {"[1,2,3,4]", 2, "[1,2]..."},
      {"[[],[],[],[]]", 2, "[[],[]]..."},
      {R"(["abc","def","ghi"])", 4, R"(["abc","d"]...)"},
      {R"({"a":"bc","d":"ef"})", 4, R"({"a":"bc","d":""}...)"},
      {R"({"a":{"b":{"c":1}}})", 9, R"({"a":{"b":{"c":1}}})"},
      {R"({"a":null})", 2, R"({"a":null})"},
  };
  for (const auto& one : cases)
    EXPECT_EQ(json_excerpt(parse_json(one.value).value(), one.chars), one.shown) << one.value;
}

}  // namespace
}  // namespace pagoda
