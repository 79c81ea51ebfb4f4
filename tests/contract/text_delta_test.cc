#include "contract/text_delta.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/utf8.h"

namespace pagoda {
namespace {

TEST(TokenName, WhoCompletesACharacterHasIt) {
  struct Case {
    std::vector<std::string> tokens, names;
  } cases[] = {
      {{"a", "b c", ""}, {"a", "b c", ""}},
      {{"\xF0\x9F", "\x98", "\x80", "b"}, {"", "", "😀", "b"}},
      {{"\xF0\x9F", "\x98", "\x80", "\xF0\x9F", "\x98", "\x80"}, {"", "", "😀", "", "", "😀"}},
      {{" \xE6", "\x97", "\xA5", " é"}, {"", "", " 日", " é"}},
      {{"\xC3",
        "\xA9"
        "b"},
       {"", "éb"}},
      {{"\xE6\x97", "\xA5\xC3", "\xA9"}, {"", "", "日é"}},  // completes one, opens another
      {{"\xE6", "b"}, {"", "b"}},                           // will not be completed
      {{"\xE6", "\xF0\x9F\x98", "\x80"}, {"", "", "😀"}},
      {{"\x98", "\x98", "b"}, {"", "", "b"}},  // parts of no character
      {{"\x98", "\xC3", "\xA9"}, {"", "", "é"}},
      {{"\xC3", "\xA9", "\xA9"}, {"", "é", ""}},
      {{"\xFF"}, {""}},
  };
  for (const Case& c : cases) {
    std::string open;
    for (std::size_t i = 0; i < c.tokens.size(); ++i) {
      EXPECT_EQ(token_name(open, c.tokens[i]), c.names[i]) << c.names.back() << ", token " << i;
      open = open_after(open, c.tokens[i]);
    }
  }
}

TEST(TokenName, AlternativesAreNamedBehindTheSameBeginning) {
  const std::string open = open_after(open_after("", "\xF0\x9F"), "\x98");
  EXPECT_EQ(token_name(open, "\x80"), "😀");
  EXPECT_EQ(token_name(open, "\x8E"), "😎");
  EXPECT_EQ(token_name(open, "\n"), "\n");
  EXPECT_EQ(token_name(open, "\xF0\x9F"), "");
}

TEST(TokenName, WhatIsOpenIsBounded) {
  std::string open = "\xC3";
  for (int i = 0; i < 10'000; ++i) open = open_after(open, "\xA9\xC3");
  EXPECT_LE(open.size(), 1024u);
  EXPECT_TRUE(token_name(open, "\xA9").ends_with("é"));
}

}  // namespace
}  // namespace pagoda
