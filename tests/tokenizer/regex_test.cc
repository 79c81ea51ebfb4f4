#include "tokenizer/regex.h"

#include <gtest/gtest.h>

#include <chrono>

namespace pagoda {
namespace {

std::string first_match(const std::string& pattern, std::string_view text) {
  Result<Regex> regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  std::size_t begin = 0, end = 0;
  if (!regex.ok() || !regex->find(text, 0, &begin, &end)) return "(none)";
  return std::string(text.substr(begin, end - begin));
}

TEST(Regex, ReadsPatternsAsOnigurumaDoes) {
  struct Case {
    const char *pattern, *text, *match;
  };
  const Case cases[] = {
      {R"(\s)",
       "a\xE1\xA0\x8E"
       "b",
       "(none)"},  // U+180E is no white space
      {R"([\s])",
       "a\xC2\x85"
       "b",
       "\xC2\x85"},  // U+0085 is
      {R"(\S+)", " \xE1\xA0\x8E ", "\xE1\xA0\x8E"},
      {R"([^\s]+)", "\xE3\x80\x80x\xE3\x80\x80", "x"},
      {R"([^\S\n]+)", "a \n", " "},
      {R"(\w+)", "-e\xCC\x81_1-", "e\xCC\x81_1"},           // marks are word characters
      {R"([\w-]+)", "(a-\xE2\x80\xBF)", "a-\xE2\x80\xBF"},  // and so are all connectors
      {R"(\W)", "a\xCC\x81.", "."},
      {R"(\d+)", "x\xD9\xA1\xD9\xA2", "\xD9\xA1\xD9\xA2"},
      {R"(\h+)", "xyzBEEF", "BEEF"},  // hexadecimal digits
      {R"(\s+$)", "a  \nb  ", "  "},  // $ is the end of a line
      {R"(^b)", "a\nb", "b"},
      {R"((?i:'s))", "'S", "'S"},
      {R"((?i:'s))", "'\xC5\xBF", "'\xC5\xBF"},
      {R"([[:digit:]x]+)", "ax1b", "x1"},
      {R"([]a]+)", "b]a", "]a"},
      {R"([^]]+)", "]ab]", "ab"},
      {R"(\p{N}{1,3})", "12345", "123"},
      {R"(a(?!b))", "abac", "a"},
  };
  for (const Case& c : cases) EXPECT_EQ(first_match(c.pattern, c.text), c.match) << c.pattern;
}

TEST(Regex, RefusesWhatItCannotRead) {
  struct Case {
    std::string pattern, message;
  };
  const Case cases[] = {
      {"(", "offset"},
      {"[a", "offset"},
      {"a{2,1}", "offset"},
      {R"(\p{Nonsense})", "offset"},
      {R"([a-z&&[^b]])", "intersection"},
      {R"([a[b]])", "class within a class"},
      {R"([\W])", "within a class"},
      {R"(\C)", "offset"},
      {std::string(100'000, 'a'), "longer than"},
      {std::string(1000, '('), "offset"},
      {"((a{1,60000}){1,60000}){1,60000}", "offset"},
  };
  for (const Case& c : cases) {
    Result<Regex> regex = Regex::compile(c.pattern);
    ASSERT_FALSE(regex.ok()) << c.pattern.substr(0, 40);
    EXPECT_EQ(regex.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(regex.status().message().find(c.message), std::string::npos) << regex.status().message();
  }
}

TEST(Regex, FindsFromAnOffsetWithTheTextBeforeInView) {
  Regex regex = Regex::compile(R"((?<=a)b)").value();
  std::size_t begin = 0, end = 0;
  EXPECT_TRUE(regex.find("xab", 2, &begin, &end));
  EXPECT_EQ(begin, 2u);
  EXPECT_FALSE(regex.find("xab", 3, &begin, &end));
}

// Exponential backtracking ends at the step limit, without a match.
TEST(Regex, BacktrackingIsBounded) {
  Regex regex = Regex::compile(R"((a|a|aa)+$x)").value();
  std::string text(200, 'a');
  std::size_t begin = 0, end = 0;
  EXPECT_FALSE(regex.find(text, 0, &begin, &end));
}

// Each match below the limit of one, together as long as the text allows and no longer: hours without a
// bound.
TEST(Regex, BacktrackingIsBoundedForAWholeText) {
  std::string text;
  while (text.size() < 100'000) text += std::string(200, 'a') + ' ';
  for (const char* pattern : {"a*a*a*a*b|a", "(a+)+b|a", "(a|aa)+$x|."}) {
    Regex regex = Regex::compile(pattern).value();
    Regex::Search search(regex, text);
    auto start = std::chrono::steady_clock::now();
    std::size_t begin = 0, end = 0;
    int count = 0;
    while (search.find(end, &begin, &end)) ++count;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << pattern;
    EXPECT_LT(count, 100'000) << pattern;
  }
}

// The bound is for backtracking: long runs and many matches are not cut short.
TEST(Regex, SearchFindsAllThatFindFinds) {
  Regex regex = Regex::compile(R"(\s+(?!\S)|\s+|\p{L}+)").value();
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "word  ";
  text += std::string(100'000, ' ') + "x" + std::string(100'000, 'y');
  Regex::Search search(regex, text);
  std::size_t begin = 0, end = 0, from = 0, covered = 0;
  while (search.find(from, &begin, &end)) {
    covered += end - begin;
    from = end;
  }
  EXPECT_EQ(covered, text.size());
}

TEST(Regex, KnowsItsShortestMatch) {
  EXPECT_EQ(Regex::compile(" {2,}").value().min_chars(), 2);
  EXPECT_EQ(Regex::compile("a|bc").value().min_chars(), 1);
  EXPECT_EQ(Regex::compile("a*").value().min_chars(), 0);
}

}  // namespace
}  // namespace pagoda
