#include "frontend/choice_text.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace pagoda {
namespace {

struct Answer {
  std::string shown;
  int stop = -1;
};

// Feeds `text` in pieces of these lengths, holding back what the matcher says.
Answer run(const std::vector<std::string>& stops, const std::string& text, std::size_t piece) {
  auto shared = std::make_shared<const StopStrings>(stops);
  StopMatcher matcher(shared);
  Answer answer;
  std::string held;
  for (std::size_t i = 0; i < text.size(); i += piece) {
    std::string next = text.substr(i, piece);
    std::size_t before = held.size();
    held += next;
    if (auto match = matcher.feed(next, true)) {
      answer.shown += held.substr(0, before + match->end - stops[match->index].size());
      answer.stop = static_cast<int>(match->index);
      return answer;
    }
    answer.shown += held.substr(0, held.size() - matcher.held());
    held.erase(0, held.size() - matcher.held());
  }
  answer.shown += held;
  return answer;
}

// The first end of any stop string, by looking at every prefix of the text.
Answer search(const std::vector<std::string>& stops, const std::string& text) {
  for (std::size_t end = 1; end <= text.size(); ++end)
    for (std::size_t s = 0; s < stops.size(); ++s)
      if (end >= stops[s].size() && text.compare(end - stops[s].size(), stops[s].size(), stops[s]) == 0)
        return {text.substr(0, end - stops[s].size()), static_cast<int>(s)};
  return {text, -1};
}

TEST(StopMatcher, EqualsASearchOfEveryPrefix) {
  SplitMix64 rng(1);
  for (int round = 0; round < 3000; ++round) {
    auto word = [&](uint64_t longest) {
      std::string out;
      for (uint64_t i = 0, n = 1 + rng.below(longest); i < n; ++i)
        out += static_cast<char>('a' + rng.below(2));
      return out;
    };
    std::vector<std::string> stops;
    for (uint64_t i = 0, n = 1 + rng.below(3); i < n; ++i) stops.push_back(word(7));
    std::string text = word(30);
    Answer expected = search(stops, text);
    for (std::size_t piece : {1, 2, 5, 64}) {
      Answer got = run(stops, text, piece);
      ASSERT_EQ(got.shown, expected.shown) << text << " piece " << piece;
      ASSERT_EQ(got.stop, expected.stop) << text;
    }
  }
}

TEST(StopMatcher, HoldsBackNoMoreThanAPossibleBeginning) {
  StopMatcher matcher(std::make_shared<const StopStrings>(std::vector<std::string>{"STOP", "TOQ"}));
  struct Step {
    const char* text;
    std::size_t held;
  } steps[] = {{"x", 0}, {"S", 1}, {"T", 2}, {"O", 3}, {"Z", 0}, {"SST", 2}, {"TO", 2}, {" ", 0}};
  for (const Step& step : steps) {
    EXPECT_FALSE(matcher.feed(step.text, true));
    EXPECT_EQ(matcher.held(), step.held) << step.text;
  }
}

TEST(StopMatcher, EndsThatMayNotStopAreForgotten) {
  StopMatcher matcher(std::make_shared<const StopStrings>(std::vector<std::string>{"aa"}));
  EXPECT_FALSE(matcher.feed("aa", false));
  auto match = matcher.feed("a", true);  // begins inside of the one that did not count
  ASSERT_TRUE(match);
  EXPECT_EQ(match->end, 1u);
}

// "c \u2260 d" of five tokens, of which one is a space and two bytes of a character.
TEST(TokenPlaces, ANameBeginsWhereTheTokensOfItsCharacterDo) {
  const struct {
    std::string bytes;
    std::size_t before, after;
    int32_t offset;
  } tokens[] = {
      {"c", 0, 1, 0}, {" \xE2\x89", 1, 2, 1}, {"\xA0", 2, 3, 1}, {" d", 3, 5, 3}, {"</s>", 5, 5, 5}};
  TokenPlaces places;
  for (const auto& each : tokens) {
    TokenLogprobText token;
    token.token.bytes = each.bytes;
    places.place(each.before, each.after, &token);
    EXPECT_EQ(token.text_offset, each.offset) << each.bytes;
  }
}

}  // namespace
}  // namespace pagoda
