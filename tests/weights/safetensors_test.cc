#include "weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/json.h"
#include "base/mmap.h"
#include "tests/testing/test_data.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

Result<std::vector<StoredTensor>> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes)), "some.safetensors");
}

// What our message must say for each verdict of the reference implementation.
const std::map<std::string, std::string> kWords = {
    {"InvalidOffset", "invalid offset"},
    {"HeaderTooLarge", "over the limit"},
    {"HeaderTooSmall", "header length alone takes 8"},
    {"InvalidHeaderLength", "past the end of the file"},
    {"InvalidHeader", "not UTF-8"},
    {"InvalidHeaderDeserialization", "not valid JSON"},
    {"TensorInvalidInfo", "but data_offsets"},
    {"rejected (header length past end of file)", "past the end of the file"},
    {"rejected quickly (InvalidOffset); original script pads with header-size zeros", "offset"},
};

TEST(Safetensors, JudgesTheCorpusAsExpected) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "malformed/safetensors");
  Result<std::string> text = read_file(folder + "/expected.json");
  ASSERT_TRUE(text.ok()) << text.status().message();
  Value expected = parse_json(*text).value();
  ASSERT_EQ(expected.as_object().size(), 18u);
  for (const Member& member : expected.as_object()) {
    SCOPED_TRACE(member.key);
    const std::string& verdict = member.value.as_string();
    auto checkpoint = Checkpoint::open(folder + "/" + member.key);
    if (verdict.starts_with("ok")) {
      EXPECT_TRUE(checkpoint.ok()) << checkpoint.status().message();
      continue;
    }
    ASSERT_FALSE(checkpoint.ok());
    EXPECT_EQ(checkpoint.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(checkpoint.status().message(), HasSubstr(member.key));
    auto words = kWords.find(verdict);
    if (words != kWords.end()) {
      EXPECT_THAT(checkpoint.status().message(), HasSubstr(words->second));
    }
  }
}

TEST(Safetensors, ReadsTheGoodFiles) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "malformed/safetensors");
  auto checkpoint = Checkpoint::open(folder + "/ok_attn0_f32.safetensors");
  ASSERT_TRUE(checkpoint.ok());
  const StoredTensor* tensor = (*checkpoint)->find("attn0");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->shape, (std::vector<int64_t>{1, 1, 2, 3}));
  EXPECT_EQ(read_floats(**checkpoint, tensor->name).value(), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  checkpoint = Checkpoint::open(folder + "/ok_empty_shape.safetensors");
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_TRUE((*checkpoint)->tensors()[0].shape.empty());
  checkpoint = Checkpoint::open(folder + "/ok_whitespace_padded_header.safetensors");
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_TRUE((*checkpoint)->tensors().empty());
}

struct BadHeader {
  const char *header, *words;
  std::size_t data_bytes;
};

TEST(Safetensors, NamesWhatIsWrong) {
  const BadHeader cases[] = {
      {"[]", "not a JSON object", 0},
      {R"({"a":1})", "tensor 'a': expected an object, found integer", 0},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "`dtype` is missing", 4},
      {R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}})", "unknown dtype 'Q9'", 4},
      {R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", "`shape` is missing", 4},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "shape [-1]", 4},
      {R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", "shape [1.0]", 4},
      {R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", "shape [\"1\"]", 4},
      {R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}})",
       "overflows", 0},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})",
       "17 dimensions", 4},
      {R"({"a":{"dtype":"F32","shape":[1]}})", "`data_offsets` is missing", 4},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "expected 0 <= begin <= end", 4},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", "expected 0 <= begin <= end", 4},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", "not a pair", 4},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "gap", 8},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
       "overlaps", 6},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "cut off", 4},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "4 bytes follow the last tensor", 8},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "not valid JSON", 8},
      {R"({"__metadata__":{"x":1}})", "`__metadata__`: 'x' is not a string", 0},
      {R"({"__metadata__":[]})", "`__metadata__` is not an object", 0},
      {R"({"a":{"dtype":[[[[[[[[[[1]]]]]]]]]],"shape":[1],"data_offsets":[0,4]}})", "not valid JSON", 4},
  };
  for (const BadHeader& c : cases) {
    SCOPED_TRACE(c.header);
    auto parsed =
        parse(testing::safetensors_bytes(std::string_view(c.header), std::string(c.data_bytes, '\1')));
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.status().message(), HasSubstr(c.words));
    EXPECT_THAT(parsed.status().message(), HasSubstr("'some.safetensors'"));
  }
}

// Two bytes of text a value, twenty times that in memory.
TEST(Safetensors, AHeaderOfTooManyValuesIsRefused) {
  std::string header = R"({"a":[)";
  for (int i = 0; i < (4 << 20); ++i) header += "0,";
  auto parsed = parse(testing::safetensors_bytes(header + "0]}", ""));
  EXPECT_THAT(parsed.status().message(), HasSubstr("values"));
}

TEST(Safetensors, EveryTruncationAndFlippedHeaderBitIsSafe) {
  testing::TinyModel model =
      testing::make_tiny_model({.vocab = 4, .hidden = 4, .intermediate = 4, .layers = 1});
  const std::string good = testing::safetensors_bytes(model.tensors, "float32");
  ASSERT_TRUE(parse(good).ok());
  for (std::size_t length = 0; length < good.size(); length += length < 2048 ? 1 : 97)
    EXPECT_FALSE(parse(good.substr(0, length)).ok()) << length;
  for (std::size_t i = 0; i < 1200; ++i) {  // must not crash; some flips (in a name) stay valid
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    auto parsed = parse(bad);
    if (!parsed.ok()) continue;
    for (const StoredTensor& tensor : *parsed)
      EXPECT_LE(tensor.data.data() + tensor.data.size(), std::as_bytes(std::span(bad)).data() + bad.size());
  }
}

}  // namespace
}  // namespace pagoda
