// Files that are wrong, strange or hostile: a clear refusal or a tokenizer, never a crash.
#include "base/rng.h"
#include "tests/tokenizer/tokenizer_fixture.h"

namespace pagoda {
namespace {

// A small valid file with one member replaced.
std::string file_with(const std::string& key, const std::string& value) {
  std::map<std::string, std::string> members = {
      {"model", R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})"},
      {"added_tokens", R"([{"id":3,"content":"<s>","special":true}])"},
      {"normalizer", "null"},
      {"pre_tokenizer", "null"},
      {"post_processor", "null"},
      {"decoder", R"({"type":"Fuse"})"}};
  members[key] = value;
  std::string text = "{";
  for (const auto& [name, json] : members) text += (text.size() > 1 ? ",\"" : "\"") + name + "\":" + json;
  return text + "}";
}

std::string nested(const std::string& type, const std::string& list, int depth) {
  std::string text = R"({"type":"ByteLevel"})";
  for (int i = 0; i < depth; ++i) text = "{\"type\":\"" + type + "\",\"" + list + "\":[" + text + "]}";
  return text;
}

// `count` steps of one kind in a Sequence whose member is called `list`.
std::string sequence_of(const std::string& list, const std::string& step, int count) {
  std::string text = "{\"type\":\"Sequence\",\"" + list + "\":[";
  for (int i = 0; i < count; ++i) text += (i > 0 ? "," : "") + step;
  return text + "]}";
}

const std::string kDoubling = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
const std::string kDoublingByRegex = R"({"type":"Replace","pattern":{"Regex":"a"},"content":"aa"})";
const std::string kDoublingByNothing = R"({"type":"Replace","pattern":{"Regex":""},"content":"a"})";

struct BadFile {
  std::string key, value, message;
};

const BadFile kBadFiles[] = {
    {"model", "null", "model must be an object"},
    {"model", "[]", "model must be an object"},
    {"model", R"({"type":"WordPiece"})", "WordPiece is not built"},
    {"model", R"({"type":"Unigram","vocab":[["a",0]]})", "Unigram is not built"},
    {"model", R"({"type":7})", "model.type must be a string"},
    {"model", R"({"type":"BPE","merges":[]})", "model.vocab must be an object, found nothing"},
    {"model", R"({"type":"BPE","vocab":[],"merges":[]})", "model.vocab must be an object, found array"},
    {"model", R"({"type":"BPE","vocab":{"a":0}})", "model.merges must be an array"},
    {"model", R"({"type":"BPE","vocab":{"a":"0"},"merges":[]})", R"(model.vocab["a"] must be an integer)"},
    {"model", R"({"type":"BPE","vocab":{"a":-1},"merges":[]})", "outside of 0..4194303"},
    {"model", R"({"type":"BPE","vocab":{"a":4194304},"merges":[]})", "outside of 0..4194303"},
    {"model", R"({"type":"BPE","vocab":{"a":9223372036854775807},"merges":[]})", "outside of 0..4194303"},
    {"model", R"({"type":"BPE","vocab":{"a":1e300},"merges":[]})", "must be an integer"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":["a b"]})", "model.merges[0]"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":["a a"]})",
     R"(makes "aa", which is not in model.vocab)"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[["a","a"]]})", R"(makes "aa")"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[["a","x"]]})", R"(names "x")"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":["aa"]})", "with a space between"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[""]})", "with a space between"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":["a b c"]})", "not in model.vocab"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":["          "]})", "not in model.vocab"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[["a"]]})", "a pair of strings"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[["a",1]]})", "a pair of strings"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[7]})", "a pair of strings"},
    {"model", R"({"type":"BPE","vocab":{},"merges":[],"dropout":0.1})", "model.dropout"},
    {"model", R"({"type":"BPE","vocab":{},"merges":[],"dropout":"x"})", "model.dropout must be a number"},
    {"model", R"({"type":"BPE","vocab":{},"merges":[],"ignore_merges":1})",
     "model.ignore_merges must be true or false"},
    {"model", R"({"type":"BPE","vocab":{},"merges":[],"unk_token":1})", "model.unk_token must be a string"},
    {"model", R"({"type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"<unk>"})",
     R"(model.unk_token is "<unk>", which is not in model.vocab)"},
    {"model", R"({"type":"BPE","vocab":{},"merges":[],"end_of_word_suffix":"</w>"})",
     "end_of_word_suffix is not built"},
    {"added_tokens", "{}", "added_tokens must be an array"},
    {"added_tokens", "[1]", "added_tokens[0] must be an object"},
    {"added_tokens", R"([{"content":"x"}])", "added_tokens[0].id must be an integer"},
    {"added_tokens", R"([{"id":99999999,"content":"x"}])", "added_tokens[0].id is 99999999, outside of"},
    {"added_tokens", R"([{"id":-1,"content":"x"}])", "added_tokens[0].id is -1, outside of"},
    {"added_tokens", R"([{"id":5}])", "added_tokens[0].content must be a string"},
    {"added_tokens", R"([{"id":5,"content":"x","special":"yes"}])",
     "added_tokens[0].special must be true or false"},
    {"added_tokens", "[{\"id\":5,\"content\":\"" + std::string(2000, 'x') + "\"}]", "longer than 1024 bytes"},
    {"normalizer", "7", "normalizer.type must be a string"},
    {"normalizer", R"({"type":"Precompiled"})", "the normalizer Precompiled is not built"},
    {"normalizer", R"({"type":"Prepend"})", "normalizer.prepend must be a string"},
    {"normalizer", R"({"type":"Replace","content":"x"})", "normalizer.pattern must be an object"},
    {"normalizer", R"({"type":"Replace","pattern":{"String":""},"content":"x"})", "String is empty"},
    {"normalizer", R"({"type":"Replace","pattern":{"Regex":"("},"content":"x"})", "normalizer.pattern"},
    {"normalizer",
     R"({"type":"Replace","pattern":{"String":"a"},"content":")" + std::string(1000, 'a') + "\"}",
     "too long"},
    {"normalizer", nested("Sequence", "normalizers", 40), "too many normalizers"},
    {"normalizer", sequence_of("normalizers", kDoubling, 9), "one byte of text could become more than 256"},
    {"normalizer", sequence_of("normalizers", kDoublingByRegex, 9), "could become more than 256"},
    {"normalizer", sequence_of("normalizers", kDoublingByNothing, 9), "could become more than 256"},
    {"normalizer",
     sequence_of("normalizers", R"({"type":"Prepend","prepend":")" + std::string(100, 'p') + "\"}", 3),
     "could become more than 256"},
    {"normalizer",
     R"({"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Sequence","normalizers":[)" + kDoubling +
         "," + sequence_of("normalizers", kDoubling, 4) + "]}]}",
     "could become more than 256"},
    {"pre_tokenizer", sequence_of("pretokenizers", R"({"type":"Metaspace"})", 3), "more than two Metaspace"},
    {"decoder", sequence_of("decoders", kDoubling, 9), "could become more than 256"},
    {"pre_tokenizer", "[]", "pre_tokenizer.type must be a string"},
    {"pre_tokenizer", R"({"type":"BertPreTokenizer"})", "the pre-tokenizer BertPreTokenizer is not built"},
    {"pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"[a"},"behavior":"Isolated"})",
     "pre_tokenizer.pattern"},
    {"pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"a"},"behavior":"Sideways"})",
     "unknown value Sideways"},
    {"pre_tokenizer", R"({"type":"Split","pattern":{"String":""},"behavior":"Isolated"})", "String is empty"},
    {"pre_tokenizer", R"({"type":"Split","pattern":"a","behavior":"Isolated"})", "pattern must be an object"},
    {"pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})", "must be one character"},
    {"pre_tokenizer", R"({"type":"Metaspace","prepend_scheme":"last"})", "must be always, first or never"},
    {"pre_tokenizer", R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"ByteLevel"}]})",
     "second ByteLevel"},
    {"pre_tokenizer", nested("Sequence", "pretokenizers", 40), "too many pre-tokenizers"},
    {"post_processor", R"({"type":"Nonsense"})", "the post-processor Nonsense is not built"},
    {"post_processor", R"({"type":"TemplateProcessing"})", "post_processor.single must be an array"},
    {"post_processor", R"({"type":"TemplateProcessing","single":[]})", "does not hold the sequence A"},
    {"post_processor", R"({"type":"TemplateProcessing","single":[7]})", "SpecialToken or Sequence"},
    {"post_processor", R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}]})",
     "sequence A once"},
    {"post_processor", R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}]})",
     "no member x"},
    {"post_processor",
     R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}}],"special_tokens":{"x":{"ids":["1"]}}})",
     "an array of a few token ids"},
    {"post_processor", R"({"type":"RobertaProcessing","sep":["</s>"],"cls":["<s>",0]})",
     "a pair of token and id"},
    {"post_processor", R"({"type":"BertProcessing","sep":["x",999999],"cls":["y",0]})",
     "post_processor adds the id 999999, which no token has"},
    {"post_processor", nested("Sequence", "processors", 40), "too many post-processors"},
    {"decoder", R"({"type":"WordPiece"})", "the decoder WordPiece is not built"},
    {"decoder", R"({"type":"Strip","content":" ","start":-1,"stop":0})", "decoder.start is -1"},
    {"decoder", R"({"type":"Strip","content":"","start":1,"stop":0})", "must be one character"},
    {"decoder", R"({"type":"Replace","pattern":{"Regex":"a"},"content":"b"})", "an object with String"},
    {"decoder", R"({"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]})", "behind Fuse"},
    {"decoder", nested("Sequence", "decoders", 40), "too many decoders"},
};

TEST(TokenizerJson, RefusesBadFilesByName) {
  ASSERT_TRUE(Tokenizer::from_json(file_with("normalizer", "null")).ok());
  for (const BadFile& bad : kBadFiles) {
    auto result = Tokenizer::from_json(file_with(bad.key, bad.value));
    ASSERT_FALSE(result.ok()) << bad.key << ": " << bad.value.substr(0, 200);
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(result.status().message().find(bad.message), std::string::npos)
        << bad.value.substr(0, 200) << "\n  says: " << result.status().message();
  }
}

// What real files do stays far below the bound: a compatibility form, marks for spaces, a mark in front.
TEST(TokenizerJson, TakesNormalizersOfRealFiles) {
  const std::string kMarks = R"({"type":"Replace","pattern":{"String":" "},"content":"▁"})";
  for (
      const std::string& normalizers :
      {sequence_of("normalizers", kDoubling, 8),
       R"({"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"NFC"},{"type":"Prepend","prepend":"▁"},)" +
           kMarks + "]}",
       R"({"type":"Sequence","normalizers":[{"type":"NFKC"},
            {"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "},)" +
           kMarks + "]}"}) {
    auto tokenizer = Tokenizer::from_json(file_with("normalizer", normalizers));
    EXPECT_TRUE(tokenizer.ok()) << normalizers << ": " << tokenizer.status().message();
  }
}

TEST(TokenizerJson, RefusesWhatIsNoDocument) {
  for (std::string text : {"", "null", "[]", "7", "{", "\"x\"", "{}", "\xFF", "{\"model\":"}) {
    auto result = Tokenizer::from_json(text);
    ASSERT_FALSE(result.ok()) << text;
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(result.status().message().find("tokenizer.json"), std::string::npos)
        << result.status().message();
  }
  std::string deep(100'000, '[');
  EXPECT_FALSE(Tokenizer::from_json(deep).ok());
}

// Any prefix and any damaged byte of a real kind of file: a refusal or a tokenizer that works.
TEST(TokenizerJson, SurvivesTruncationAndDamage) {
  Value groups = testing::load_json_file(testing::source_path("tests/tokenizer/tokenizer_cases.json"));
  SplitMix64 rng(9);
  for (const Value& group : groups.as_array()) {
    std::string text = write_json(*group.find("tokenizer"));
    for (int round = 0; round < 40; ++round) {
      std::string damaged = text;
      if (round % 2 == 0) damaged.resize(rng.below(text.size()));
      for (uint64_t left = round % 2 == 0 ? 0 : 1 + rng.below(4); left > 0; --left)
        damaged[rng.below(damaged.size())] = "0\"[]{},:x\\ 9"[rng.below(12)];
      auto result = Tokenizer::from_json(damaged);
      if (!result.ok()) {
        EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
        continue;
      }
      std::vector<int32_t> ids =
          testing::encode(**result, "Hello, w\xC3\xB6rld <s> 123", {.add_special_tokens = true});
      (*result)->decode(ids, true);
    }
  }
}

TEST(TokenizerJson, ToleratesWhatDoesNoHarm) {
  // Merges in circles, the same merge twice, a merge whose result is one of its own parts' neighbours.
  auto circles = Tokenizer::from_json(file_with(
      "model",
      R"({"vocab":{"a":0,"aa":1,"aaa":2,"aaaa":4},"merges":["a a","a aa","aa a","aa aa","a aaa","a a"]})"));
  ASSERT_TRUE(circles.ok()) << circles.status().message();
  std::vector<int32_t> ids = testing::encode(**circles, std::string(1000, 'a'));
  EXPECT_EQ((*circles)->decode(ids, false), std::string(1000, 'a'));
  // An empty vocabulary drops everything; two spellings of one id; an id with a hole before it.
  auto empty = Tokenizer::from_json(file_with("model", R"({"vocab":{},"merges":[]})"));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(testing::encode(**empty, "abc").empty());
  auto holes = Tokenizer::from_json(file_with("model", R"({"vocab":{"a":100,"b":100},"merges":[]})"));
  ASSERT_TRUE(holes.ok());
  EXPECT_EQ((*holes)->vocab_size(), 101);
  EXPECT_EQ((*holes)->id_to_token(50), "");
  EXPECT_EQ((*holes)->decode(std::vector<int32_t>{50, 100, 3}, false), "b<s>");
}

// In a vocabulary in which every space becomes "▁", a token with a plain space stands for a lost U+00A0.
TEST(TokenizerJson, RestoresLostNoBreakSpaces) {
  std::string model = R"({"vocab":{"▁":0," ":1,"  ":2,"a":4},"merges":["   "]})";
  auto spaces = Tokenizer::from_json(file_with("model", model));
  ASSERT_TRUE(spaces.ok()) << spaces.status().message();
  EXPECT_EQ(testing::encode(**spaces, "a  a"), (std::vector<int32_t>{4, 2, 4}));
  std::string file = file_with("model", model);
  std::string replace = R"("normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"})";
  file.replace(file.find(R"("normalizer":null)"), 17, replace);
  auto marks = Tokenizer::from_json(file);
  ASSERT_TRUE(marks.ok()) << marks.status().message();
  EXPECT_EQ(testing::encode(**marks, "a \xC2\xA0\xC2\xA0"), (std::vector<int32_t>{4, 0, 2}));
  EXPECT_EQ((*marks)->token_bytes(2), "\xC2\xA0\xC2\xA0");
}

TEST(TokenizerJson, IllFormedTextIsReadAsReplacementCharacters) {
  auto tokenizer = Tokenizer::from_json(file_with("model", R"({"vocab":{"a":0,"�":1},"merges":[]})"));
  ASSERT_TRUE(tokenizer.ok());
  EXPECT_EQ(testing::encode(**tokenizer,
                            "a\xFF\xE2\x82"
                            "a"),
            (std::vector<int32_t>{0, 1, 1, 0}));
}

}  // namespace
}  // namespace pagoda
