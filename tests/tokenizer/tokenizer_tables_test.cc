// What a vocabulary takes, in memory and time, is that of its tokens: whatever ids they have, and whatever
// they begin with.
#include <chrono>

#include "base/rng.h"
#include "tests/testing/failing_new.h"
#include "tests/tokenizer/tokenizer_fixture.h"
#include "tokenizer/bpe.h"
#include "tokenizer/token_table.h"

namespace pagoda {
namespace {

std::string file_of(const std::string& vocab, const std::string& added) {
  return R"({"model":{"type":"BPE","vocab":{)" + vocab + R"(},"merges":[]},"added_tokens":[)" + added + "]}";
}
std::string added(int64_t id, const std::string& content, const std::string& more = R"("special":true)") {
  return R"({"id":)" + std::to_string(id) + R"(,"content":")" + content + "\"," + more + "}";
}

TEST(IdPlaces, AreThoseOfASortedList) {
  SplitMix64 rng(7);
  for (uint64_t spread : {1, 2, 50, 1000}) {
    std::vector<int32_t> ids;
    int32_t next = spread < 50 ? -1 : static_cast<int32_t>(rng.below(100));
    for (int i = 0; i < 1000; ++i) ids.push_back(next += 1 + static_cast<int32_t>(rng.below(spread)));
    const IdPlaces places(ids.back() + 1, ids);
    ASSERT_EQ(places.size(), 1000);
    int32_t expected = 0;
    for (int32_t id = -70; id < ids.back() + 200; ++id) {
      const bool there = expected < 1000 && ids[static_cast<std::size_t>(expected)] == id;
      ASSERT_EQ(places.place(id), there ? expected++ : -1) << id;
    }
    EXPECT_EQ(places.place(INT32_MAX), -1);
    EXPECT_EQ(places.place(INT32_MIN), -1);
  }
  EXPECT_EQ(IdPlaces().place(0), -1);
}

TEST(TokenizerTables, HolesOfAnyWidthTakeNoRoom) {
  smallest_failure = 4 << 20;
  allocations_may_fail = true;
  const int64_t before = num_failures;
  auto loaded = Tokenizer::from_json(
      file_of(R"("a":0,"":9,"b":4194303,"c":70)", added(2000000, "<hole>") + "," + added(2000000, "<taken>") +
                                                      "," + added(4194303, "b", R"("special":false)")));
  allocations_may_fail = false;
  smallest_failure = SIZE_MAX;
  EXPECT_EQ(num_failures, before);
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.status().message().find("more than 4194304 ids"), std::string::npos)
      << "<taken> comes behind all others: " << loaded.status().message();

  smallest_failure = 4 << 20;
  allocations_may_fail = can_allocations_fail();
  loaded = Tokenizer::from_json(
      file_of(R"("a":0,"":9,"b":4194302,"c":70)",
              added(2000000, "<hole>") + "," + added(2000000, "<taken>") + "," + added(9, "<nine>")));
  allocations_may_fail = false;
  smallest_failure = SIZE_MAX;
  EXPECT_EQ(num_failures, before);
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Tokenizer& tokenizer = **loaded;
  EXPECT_EQ(tokenizer.vocab_size(), 4194304);
  const std::map<int32_t, std::string> kTokens = {
      {0, "a"}, {9, "<nine>"}, {70, "c"}, {2000000, "<hole>"}, {4194302, "b"}, {4194303, "<taken>"}};
  for (const auto& [id, spelling] : kTokens) {
    EXPECT_EQ(tokenizer.id_to_token(id), spelling);
    EXPECT_EQ(tokenizer.token_bytes(id), spelling);
    EXPECT_EQ(tokenizer.token_to_id(spelling), id);
    EXPECT_EQ(tokenizer.is_special(id), spelling.front() == '<');
  }
  for (int32_t id : {-1, 1, 8, 10, 69, 71, 1999999, 2000001, 4194304, INT32_MAX, INT32_MIN}) {
    EXPECT_EQ(tokenizer.id_to_token(id), "") << id;
    EXPECT_EQ(tokenizer.token_bytes(id), "") << id;
    EXPECT_FALSE(tokenizer.is_special(id)) << id;
  }
  const std::vector<int32_t> ids = {0, 4194302, 2000000, 70, 4194303, 9};
  EXPECT_EQ(testing::encode(tokenizer, "ab<hole>c<taken><nine>"), ids);
  EXPECT_EQ(tokenizer.decode(ids, false), "ab<hole>c<taken><nine>");
  EXPECT_EQ(tokenizer.decode(ids, true), "abc");
}

// Every token of an id by itself: no page of a table is shared.
TEST(TokenizerTables, ManyIdsFarApart) {
  std::string vocab;
  for (int i = 0; i < 4096; ++i)
    vocab += (i > 0 ? ",\"t" : "\"t") + std::to_string(i) + "\":" + std::to_string(i * 1024 + i % 7);
  smallest_failure = 4 << 20;
  allocations_may_fail = can_allocations_fail();
  auto loaded = Tokenizer::from_json(file_of(vocab, ""));
  allocations_may_fail = false;
  smallest_failure = SIZE_MAX;
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  for (int i = 0; i < 4096; ++i) ASSERT_EQ((*loaded)->id_to_token(i * 1024 + i % 7), "t" + std::to_string(i));
}

TEST(TokenizerTables, AddedTokensWithOneLongBeginningLoadAtOnce) {
  constexpr int kCount = 20000;
  const std::string begin(1000, 'x');
  std::string list;
  for (int i = 0; i < kCount; ++i) list += (i > 0 ? "," : "") + added(i + 1, begin + std::to_string(i));
  for (const char* normalizer : {"null", R"({"type":"NFC"})"}) {
    std::string file = file_of(R"("x":0)", list);
    file.insert(1, "\"normalizer\":" + std::string(normalizer) + ",");
    auto start = std::chrono::steady_clock::now();
    auto loaded = Tokenizer::from_json(file);
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    EXPECT_LT(seconds.count(), 5) << "0.1 s where nothing checks the memory";
    std::vector<int32_t> ids = {20000, 8};
    ids.insert(ids.end(), 999, 0);
    EXPECT_EQ(testing::encode(**loaded, begin + "19999" + begin + "7" + begin.substr(1)), ids);
  }
}

// A small file of which its own normalizer makes a large one.
TEST(TokenizerTables, NormalizedTokensAreBounded) {
  std::string list;
  for (int i = 0; i < 2000; ++i)
    list += (i > 0 ? "," : "") + added(i, std::string(900, 'a') + std::to_string(i), R"("normalized":true)");
  std::string file = file_of(R"("x":0)", list);
  file.insert(1, R"("normalizer":{"type":"Replace","pattern":{"String":"a"},"content":")" +
                     std::string(200, 'b') + "\"},");
  auto loaded = Tokenizer::from_json(file);
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.status().message().find("64 MiB of the added tokens"), std::string::npos)
      << loaded.status().message();
}

// Keys for a table that puts all of them into one place unless it has a secret.
TEST(TokenizerTables, NoFileMakesAllKeysFallIntoOnePlace) {
  constexpr uint64_t kMul = 0x9E3779B97F4A7C15ull, kOther = 0xD6E8FEB86659FD93ull;
  // Sixteen bytes: whatever the first eight are, some last eight undo it.
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < 30000; ++i) {
    const uint64_t first = mix_bits(16 * kMul ^ i ^ kOther, kMul);
    const uint64_t last = first ^ 12345;
    std::string key(16, '\0');
    std::memcpy(key.data(), &i, 8);
    std::memcpy(key.data() + 8, &last, 8);
    keys.push_back(key);
  }
  TokenMap map;
  map.reserve(keys.size(), 16 * keys.size());
  auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < keys.size(); ++i) map.insert(keys[i], static_cast<int32_t>(i));
  std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 1);  // by walking: 30000^2 / 2 comparisons
  for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(map.find(keys[i]), static_cast<int32_t>(i));
}

class Parts : public AddedTokenSink {
 public:
  void plain(std::string_view text, bool) override { out += std::string(text); }
  void token(int32_t id) override { out += "[" + std::to_string(id) + "]"; }
  std::string out;
};

// Against looking for every pattern everywhere.
TEST(AddedTokenMatcher, FindsTheLongestLeftmost) {
  SplitMix64 rng(11);
  auto word = [&](uint64_t size_max) {
    std::string text;
    for (uint64_t size = 1 + rng.below(size_max); text.size() < size;)
      text += static_cast<char>('a' + rng.below(3));
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<AddedToken> tokens(rng.below(12));
    std::vector<AddedTokenMatcher::Pattern> patterns;
    std::map<std::string, const AddedToken*> wanted;
    for (AddedToken& token : tokens) {
      token.id = static_cast<int32_t>(&token - tokens.data());
      token.special = rng.below(2) == 0;
      const std::string text = rng.below(20) == 0 ? "" : word(6);
      patterns.emplace_back(text, &token);
      if (!text.empty()) wanted[text] = &token;
    }
    const AddedTokenMatcher matcher(patterns);
    EXPECT_EQ(matcher.empty(), wanted.empty());
    const std::string text = word(40);
    for (bool skip_special : {false, true}) {
      std::string expected;
      for (std::size_t at = 0; at < text.size();) {
        std::string longest;
        const AddedToken* found = nullptr;
        for (const auto& [pattern, token] : wanted) {
          if ((skip_special && token->special) || text.compare(at, pattern.size(), pattern) != 0) continue;
          if (pattern.size() > longest.size()) longest = pattern, found = token;
        }
        if (found == nullptr)
          expected += text[at++];
        else
          expected += "[" + std::to_string(found->id) + "]", at += longest.size();
      }
      Parts parts;
      matcher.split(text, true, skip_special, &parts);
      ASSERT_EQ(parts.out, expected) << text;
    }
  }
}

}  // namespace
}  // namespace pagoda
