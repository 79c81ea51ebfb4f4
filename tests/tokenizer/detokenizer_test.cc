#include "tokenizer/detokenizer.h"

#include "base/rng.h"
#include "base/utf8.h"
#include "tests/tokenizer/tokenizer_fixture.h"

namespace pagoda {
namespace {

// A byte-fallback vocabulary: every byte, "▁" and two words.
std::shared_ptr<const Tokenizer> byte_tokenizer() {
  std::string vocabulary = R"("<unk>":0,"<s>":1,"</s>":2)";
  constexpr char kHex[] = "0123456789ABCDEF";
  for (int byte = 0; byte < 256; ++byte)
    vocabulary +=
        std::string(",\"<0x") + kHex[byte >> 4] + kHex[byte & 15] + ">\":" + std::to_string(byte + 3);
  vocabulary += R"(,"▁":259,"▁a":260,"a":261)";
  auto tokenizer = Tokenizer::from_json(
      R"({"added_tokens":[{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
          "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},
            {"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
          "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
            {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
          "model":{"type":"BPE","byte_fallback":true,"fuse_unk":true,"unk_token":"<unk>","vocab":{)" +
      vocabulary + R"(},"merges":["▁ a"]}})");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return tokenizer.ok() ? *tokenizer : nullptr;
}

constexpr int32_t kByte = 3, kSpaceA = 260, kA = 261;

TEST(Detokenizer, HoldsBackHalfACharacter) {
  IncrementalDetokenizer detokenizer(byte_tokenizer(), true);
  EXPECT_EQ(detokenizer.push(kA), "a");
  EXPECT_EQ(detokenizer.push(kByte + 0xF0), "");
  EXPECT_EQ(detokenizer.push(kByte + 0x9F), "");
  EXPECT_EQ(detokenizer.push(kByte + 0x99), "");
  EXPECT_EQ(detokenizer.push(kByte + 0x82), "\xF0\x9F\x99\x82");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, ReplacesWhatCanNoLongerBecomeACharacter) {
  IncrementalDetokenizer detokenizer(byte_tokenizer(), true);
  EXPECT_EQ(detokenizer.push(kByte + 0xE4), "");
  EXPECT_EQ(detokenizer.push(kByte + 0xBD), "");
  EXPECT_EQ(detokenizer.push(kA),
            "\xEF\xBF\xBD"
            "a");  // one for the unfinished sequence
  EXPECT_EQ(detokenizer.num_characters(), 2u);
  EXPECT_EQ(detokenizer.push(kByte + 0x80), "");  // can start nothing, and may be the end of the text
  EXPECT_EQ(detokenizer.push(kByte + 0x80), "");
  EXPECT_EQ(detokenizer.push(kByte + 0xE4), "");
  EXPECT_EQ(detokenizer.num_characters(), 2u);
  EXPECT_EQ(detokenizer.finish(), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(detokenizer.num_characters(), 5u);
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, LeadingSpaceGoesOnlyAtTheStartOfAText) {
  auto tokenizer = byte_tokenizer();
  for (bool at_start : {false, true}) {
    IncrementalDetokenizer detokenizer(tokenizer, true, at_start);
    EXPECT_EQ(detokenizer.push(1), "");  // skipped; the text has not begun
    EXPECT_EQ(detokenizer.push(kSpaceA), at_start ? "a" : " a");
    EXPECT_EQ(detokenizer.push(kSpaceA), " a");
  }
  IncrementalDetokenizer shown(tokenizer, false, true);
  EXPECT_EQ(shown.push(1), "<s>");
  EXPECT_EQ(shown.push(kSpaceA), " a");
}

TEST(Detokenizer, UnknownIdsAreNothing) {
  IncrementalDetokenizer detokenizer(byte_tokenizer(), false, true);
  for (int32_t id : {-1, 262, INT32_MAX, INT32_MIN}) EXPECT_EQ(detokenizer.push(id), "");
  EXPECT_EQ(detokenizer.push(kSpaceA), "a");
}

// Pieces are valid UTF-8 by themselves and together are the whole decoding.
void expect_pieces_make_the_whole(const std::shared_ptr<const Tokenizer>& tokenizer, uint64_t seed,
                                  int rounds, int32_t id_bound) {
  SplitMix64 rng(seed);
  for (int round = 0; round < rounds; ++round) {
    std::vector<int32_t> ids(rng.below(40));
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(static_cast<uint64_t>(id_bound)));
    bool skip_special = rng.below(2) == 0;
    IncrementalDetokenizer at_start(tokenizer, skip_special, true), within(tokenizer, skip_special);
    std::string text, bytes, continuation;
    for (int32_t id : ids) {
      std::string piece = at_start.push(id);
      EXPECT_TRUE(is_valid_utf8(piece));
      text += piece;
      continuation += within.push(id);
      if (!skip_special || !tokenizer->is_special(id)) bytes += tokenizer->token_bytes(id);
    }
    ASSERT_EQ(text + at_start.finish(), tokenizer->decode(ids, skip_special));
    ASSERT_EQ(continuation + within.finish(), sanitize_utf8(bytes));
  }
}

TEST(Detokenizer, PiecesMakeTheWholeForRandomBytes) {
  expect_pieces_make_the_whole(byte_tokenizer(), 1, 3000, 264);
}

TEST(Detokenizer, PiecesMakeTheWholeForRandomTokensOfRealVocabularies) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "tokenizers");
  for (const char* name : testing::kVocabularies) {
    auto tokenizer = testing::load_vocabulary(name);
    ASSERT_NE(tokenizer, nullptr);
    expect_pieces_make_the_whole(tokenizer, 7, 500, tokenizer->vocab_size() + 2);
    expect_pieces_make_the_whole(tokenizer, 8, 500, 300);  // among the first ids are the single bytes
  }
}

}  // namespace
}  // namespace pagoda
