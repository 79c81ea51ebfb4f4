#include "weights/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/testing/grouped_checkpoint.h"
#include "weights/check_tensors.h"
#include "weights/content_key.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;
using testing::TinyTensor;
using testing::write_file;

std::string one_tensor(const std::string& name) {
  return testing::safetensors_bytes({{name, {2}, {1.5f, -2.0f}}}, "float32");
}

struct Named {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<TensorSpec> list_of(const std::vector<Named>& tensors) {
  std::vector<TensorSpec> list;
  for (const Named& tensor : tensors) list.push_back({.sources = {{tensor.name}}, .shape = tensor.shape});
  return list;
}

TEST(Checkpoint, ShardsAndOneFileHoldTheSame) {
  TinyModel model = testing::make_tiny_model({.layers = 3, .shards = 3});
  TempDir dir;
  write_tiny_model(model, dir.path());
  const std::string all = testing::safetensors_bytes(model.tensors, "float32");
  auto sharded = Checkpoint::open(dir.path());
  auto single = Checkpoint::from_bytes(std::as_bytes(std::span(all)), "memory");
  ASSERT_TRUE(sharded.ok()) << sharded.status().message();
  ASSERT_TRUE(single.ok());
  ASSERT_EQ((*sharded)->tensors().size(), model.tensors.size());
  for (const testing::TinyTensor& tensor : model.tensors) {
    const StoredTensor *a = (*sharded)->find(tensor.name), *b = (*single)->find(tensor.name);
    ASSERT_TRUE(a != nullptr && b != nullptr) << tensor.name;
    EXPECT_EQ(a->shape, tensor.shape);
    EXPECT_EQ(read_floats(**sharded, tensor.name).value(), tensor.values);
    EXPECT_EQ(read_floats(**single, tensor.name).value(), tensor.values);
    (*sharded)->release(a->data);
    EXPECT_EQ(read_floats(**sharded, tensor.name).value(), tensor.values);  // a hint only
  }
  EXPECT_EQ((*single)->find("model.norm"), nullptr);
}

// A format of its own may keep the rows of a weight apart from one another.
class Strided : public Checkpoint {
 public:
  Strided() : Checkpoint({{.name = "w", .file = "memory", .shape = {2, 2}}}) {}
  Result<Weight> weight(std::string_view name) const override {
    Weight weight = plain_weight(std::string(name), DType::kF32, 2, 2, std::as_bytes(std::span(numbers_)));
    weight.row_stride = 3 * sizeof(float);
    return weight;
  }
  void release(std::span<const std::byte>) const override {}

 private:
  std::vector<float> numbers_ = {1, 2, -1, 3, 4};
};

TEST(Checkpoint, FloatsOfRowsThatLieApart) {
  EXPECT_EQ(read_floats(Strided(), "w").value(), (std::vector<float>{1, 2, 3, 4}));
}

TEST(Checkpoint, AFolderWithoutIndexIsAllItsFiles) {
  TempDir dir;
  write_file(dir.file("b.safetensors"), one_tensor("b"));
  write_file(dir.file("a.safetensors"), one_tensor("a"));
  auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_NE((*checkpoint)->find("a"), nullptr);
  EXPECT_NE((*checkpoint)->find("b"), nullptr);
  write_file(dir.file("c.safetensors"), one_tensor("a"));
  EXPECT_THAT(Checkpoint::open(dir.path()).status().message(),
              AllOf(HasSubstr("'a' is in both"), HasSubstr("c.safetensors")));
}

TEST(Checkpoint, TheIndexIsJudged) {
  struct Case {
    const char *index, *words;
  };
  const Case cases[] = {
      {"{", "index.json"},
      {"{}", "`weight_map` is missing"},
      {R"({"weight_map":[]})", "`weight_map` is missing"},
      {R"({"weight_map":{"a":1}})", "not a string"},
      {R"({"weight_map":{"a":"x.safetensors","z":"x.safetensors"}})",
       "tensor 'z' is in 'x.safetensors', but it is not there"},
      {R"({"weight_map":{"a":"gone.safetensors"}})", "gone.safetensors"},
      {R"({"weight_map":{"a":"../x.safetensors"}})", "is refused"},
      {R"({"weight_map":{"a":"/etc/passwd"}})", "is refused"},
      {R"({"weight_map":{"a":".."}})", "is refused"},
      {R"({"weight_map":{"a":""}})", "is refused"},
      {R"({"weight_map":{"a":"x\u0000.safetensors"}})", "is refused"},
      {R"({"weight_map":{"a":"x.safetensors","b":"bad.safetensors"}})", "not a valid safetensors file"},
      {R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})", "index.json"},
  };
  TempDir dir;
  write_file(dir.file("x.safetensors"), one_tensor("a"));
  write_file(dir.file("bad.safetensors"), "junk");
  for (const Case& c : cases) {
    SCOPED_TRACE(c.index);
    write_file(dir.file("model.safetensors.index.json"), c.index);
    auto checkpoint = Checkpoint::open(dir.path());
    ASSERT_FALSE(checkpoint.ok());
    EXPECT_THAT(checkpoint.status().message(), HasSubstr(c.words));
  }
}

TEST(Checkpoint, TheIndexSaysWhichOfTwoCounts) {
  TempDir dir;
  write_file(dir.file("x.safetensors"), one_tensor("a"));
  write_file(dir.file("y.safetensors"),
             testing::safetensors_bytes({{"a", {1}, {7.0f}}, {"b", {1}, {8.0f}}}, "float32"));
  write_file(dir.file("model.safetensors.index.json"),
             R"({"weight_map":{"a":"x.safetensors","b":"y.safetensors"}})");
  auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  EXPECT_EQ((*checkpoint)->find("a")->shape, std::vector<int64_t>{2});
}

TEST(Checkpoint, SaysWhatIsMissing) {
  TempDir dir;
  EXPECT_EQ(Checkpoint::open(dir.file("none")).status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Checkpoint::open(dir.path()).status().message(), HasSubstr("expected model.safetensors"));
  write_file(dir.file("pytorch_model.bin"), "x");
  EXPECT_THAT(Checkpoint::open(dir.path()).status().message(), HasSubstr("convert them to safetensors"));
}

TEST(Checkpoint, WidensFloatKindsAndNothingElse) {
  std::string bytes = testing::safetensors_bytes({{"a", {3}, {1.0f, 0.15625f, -65536.0f}}}, "bfloat16");
  auto checkpoint = Checkpoint::from_bytes(std::as_bytes(std::span(bytes)), "memory");
  ASSERT_TRUE(checkpoint.ok());
  EXPECT_EQ(read_floats(**checkpoint, "a").value(), (std::vector<float>{1.0f, 0.15625f, -65536.0f}));
  std::string ints =
      testing::safetensors_bytes(R"({"i":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})", "1234");
  checkpoint = Checkpoint::from_bytes(std::as_bytes(std::span(ints)), "memory");
  EXPECT_THAT(read_floats(**checkpoint, "i").status().message(),
              AllOf(HasSubstr("'i' of 'memory'"), HasSubstr("expected F32, F16, BF16 or F64, found I32")));
}

TEST(Checkpoint, GivesTensorsAsMatrices) {
  std::string bytes = testing::safetensors_bytes({{"vector", {3}, {1, 2, 3}},
                                                  {"matrix", {2, 2}, {1, 2, 3, 4}},
                                                  {"experts", {2, 3, 2}, std::vector<float>(12)}},
                                                 "float32");
  auto checkpoint = Checkpoint::from_bytes(std::as_bytes(std::span(bytes)), "memory");
  ASSERT_TRUE(checkpoint.ok());
  struct Case {
    const char* name;
    int64_t rows, columns;
  };
  for (const Case& c : {Case{"vector", 1, 3}, {"matrix", 2, 2}, {"experts", 6, 2}}) {
    const Weight weight = (*checkpoint)->weight(c.name).value();
    EXPECT_TRUE(check_weight(weight).ok()) << check_weight(weight).message();
    EXPECT_EQ(weight.rows, c.rows);
    EXPECT_EQ(weight.columns, c.columns);
    EXPECT_EQ(weight.data.data(), (*checkpoint)->find(c.name)->data.data()) << "in the file's own pages";
  }
  EXPECT_EQ((*checkpoint)->weight("none").status().message(), "the checkpoint has no tensor 'none'");
}

TEST(Checkpoint, SeveralTensorsCanBeOneWeight) {
  TinyTensor weight{"w", {3, 64}, {}}, other{"v", {2, 4}, std::vector<float>(8, 1)};
  for (int i = 0; i < 3 * 64; ++i) weight.values.push_back(static_cast<float>(i * 7 % 31) - 15);
  testing::RawTensors raw;
  raw.add(&weight, testing::StoredAs::kInt4);
  raw.add(&other, testing::StoredAs::kInt8);
  const std::string bytes = raw.file();
  auto checkpoint = testing::GroupedCheckpoint::open(bytes);
  ASSERT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(checkpoint->stored().size(), 4u);
  const std::vector<TensorSpec> list = {{.role = TensorRole::kUp, .sources = {{"w"}}, .shape = {3, 64}},
                                        {.role = TensorRole::kDown, .sources = {{"v"}}, .shape = {2, 4}}};
  EXPECT_TRUE(check_tensors(*checkpoint, list, {}).ok()) << check_tensors(*checkpoint, list, {}).message();
  for (const char* name : {"w", "v"}) {
    const Weight whole = checkpoint->weight(name).value();
    EXPECT_TRUE(check_weight(whole).ok()) << check_weight(whole).message();
    for (const std::span<const std::byte> part : {whole.data, whole.scales, whole.zeros})
      checkpoint->release(part);  // of the file, or of its own
  }
  EXPECT_THAT(read_floats(*checkpoint, "w").status().message(), HasSubstr("found U8"));
  // The numbers of all of them are in the content's key.
  ComputePool pool(1);
  const Hash128 key = content_key(*checkpoint, "", pool);
  for (const StoredTensor& tensor : checkpoint->stored()) {
    std::string changed = bytes;
    changed[static_cast<std::size_t>(tensor.data.data() - std::as_bytes(std::span(bytes)).data())] ^= 1;
    EXPECT_NE(content_key(*testing::GroupedCheckpoint::open(changed), "", pool), key) << tensor.name;
  }
}

TEST(Checkpoint, WhatLiesInAFilesPlaceIsNamed) {
  constexpr const char* kPointer =
      "version https://git-lfs.github.com/spec/v1\noid "
      "sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e"
      "2ca24d17e2393\nsize 12345\n";
  struct Case {
    const char *bytes, *words, *json_words;
  };
  constexpr const char* kMend =
      "is a Git LFS pointer, not the file itself: run `git lfs install` and `git lfs";
  const Case cases[] = {
      {kPointer, kMend, kMend},
      {"<!DOCTYPE html><html>404</html>", "is a web page", "is a web page"},
      {"", "has 0 bytes", "is empty"},
      {"Entry not found", "it begins with the text \"Entry not found\"", "invalid JSON"},
  };
  for (const char* name : {"model.safetensors", "other.safetensors", "model.safetensors.index.json"})
    for (const Case& c : cases) {
      SCOPED_TRACE(name + std::string(": ") + c.bytes);
      TempDir dir;
      write_file(dir.file(name), c.bytes);
      const std::string message = Checkpoint::open(dir.path()).status().message();
      EXPECT_THAT(message, HasSubstr(dir.file(name)));
      const bool is_json = dir.file(name).ends_with(".json");
      EXPECT_THAT(message, HasSubstr(is_json ? c.json_words : c.words));
    }
  TempDir dir;  // a shard
  write_file(dir.file("model.safetensors.index.json"), R"({"weight_map":{"a":"x.safetensors"}})");
  write_file(dir.file("x.safetensors"), kPointer);
  EXPECT_THAT(Checkpoint::open(dir.path()).status().message(),
              AllOf(HasSubstr("x.safetensors' is a Git LFS pointer"), HasSubstr("git lfs pull")));
}

TEST(Checkpoint, EachShardGivesItsOwnPagesBack) {
  TempDir dir;
  std::string map;
  for (int i = 0; i < 40; ++i) {
    const std::string number = std::to_string(i);
    write_file(dir.file(number + ".safetensors"), one_tensor("t" + number));
    map += ",\"t" + number + "\":\"" + number + ".safetensors\"";
  }
  write_file(dir.file("model.safetensors.index.json"), "{\"weight_map\":{" + map.substr(1) + "}}");
  auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status().message();
  for (const StoredTensor& tensor : (*checkpoint)->tensors()) {
    (*checkpoint)->release(tensor.data);
    EXPECT_EQ(read_floats(**checkpoint, tensor.name).value(), (std::vector<float>{1.5f, -2.0f}));
  }
}

TEST(CheckTensors, PatternsMatchWholeNames) {
  EXPECT_TRUE(name_matches("*.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.inv_freq"));
  EXPECT_FALSE(name_matches("*.rotary_emb.inv_freq", "model.rotary_emb.inv_freq.x"));
  EXPECT_TRUE(name_matches("a*b*c", "aXbYbc"));
  EXPECT_FALSE(name_matches("a*b*c", "aXbYb"));
  EXPECT_TRUE(name_matches("lm_head.weight", "lm_head.weight"));
  EXPECT_TRUE(name_matches("*", ""));
  EXPECT_FALSE(name_matches("", "a"));
}

TEST(CheckTensors, TellsAllAtOnce) {
  std::vector<testing::TinyTensor> tensors = {
      {"a", {2}, {0, 0}}, {"b", {1}, {0}}, {"left.inv_freq", {1}, {0}}};
  for (int i = 0; i < 15; ++i) tensors.push_back({"extra" + std::to_string(i), {1}, {0}});
  std::string bytes = testing::safetensors_bytes(tensors, "float32");
  auto checkpoint = Checkpoint::from_bytes(std::as_bytes(std::span(bytes)), "memory");
  ASSERT_TRUE(checkpoint.ok());
  const auto list = list_of({{"a", {2, 1}}, {"b", {1}}, {"c", {1}}});
  const std::vector<std::string> ignored = {"*.inv_freq"}, more = {"*.inv_freq", "extra*"};
  Status status = check_tensors(**checkpoint, list, ignored);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("1 tensor is missing: c;"),
                    HasSubstr("1 tensor has another shape: a in 'memory': expected [2, 1], found [2];"),
                    HasSubstr("15 tensors have no place in the model: extra0 in 'memory', "),
                    HasSubstr(" and 3 more")));
  EXPECT_THAT(status.message(), ::testing::Not(HasSubstr("inv_freq")));
  EXPECT_TRUE(check_tensors(**checkpoint, list_of({{"a", {2}}, {"b", {1}}}), more).ok());

  // An optional tensor may be missing, but where it is there it has its shape.
  auto optional = list_of({{"a", {2}}, {"b", {1}}, {"c", {1}}});
  optional[2].optional = true;
  EXPECT_TRUE(check_tensors(**checkpoint, optional, more).ok());
  optional[1] = list_of({{"b", {3}}})[0];
  optional[1].optional = true;
  EXPECT_THAT(check_tensors(**checkpoint, optional, more).message(),
              HasSubstr("b in 'memory': expected [3]"));
}

TEST(DummyCheckpoint, IsAFunctionOfSeedNameAndIndex) {
  const auto list = list_of({{"w.weight", {300, 100}}, {"v.weight", {300, 100}}, {"x.norm.weight", {5}}});
  ComputePool pool(2);
  auto a = make_dummy_checkpoint(list, DType::kF32, 7, &pool),
       b = make_dummy_checkpoint(list, DType::kF32, 7, nullptr);
  auto other = make_dummy_checkpoint(list, DType::kF32, 8, nullptr);
  ASSERT_TRUE(check_tensors(*a, list, {}).ok());
  auto numbers = [](const Checkpoint& checkpoint, const char* name) {
    return read_floats(checkpoint, name).value();
  };
  std::vector<float> w = numbers(*a, "w.weight");
  EXPECT_EQ(w, numbers(*b, "w.weight"));
  EXPECT_NE(w, numbers(*a, "v.weight"));
  EXPECT_NE(w, numbers(*other, "w.weight"));
  EXPECT_EQ(numbers(*a, "x.norm.weight"), std::vector<float>(5, 1.0f));
  double sum = 0, squares = 0;
  for (float x : w) sum += x, squares += static_cast<double>(x) * x;
  const double n = static_cast<double>(w.size());
  EXPECT_NEAR(sum / n, 0, 5 * 0.02 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 0.001);
  const auto beyond = [&](double sigmas) {
    return static_cast<double>(
               std::count_if(w.begin(), w.end(), [&](float x) { return x > sigmas * 0.02; })) /
           n;
  };
  EXPECT_NEAR(beyond(0), 0.5, 0.01);  // of a normal distribution: 0.5, 0.1587, 0.0228
  EXPECT_NEAR(beyond(1), 0.1587, 0.01);
  EXPECT_NEAR(beyond(2), 0.0228, 0.005);
  auto half = make_dummy_checkpoint(list, DType::kBF16, 7, nullptr);
  std::vector<float> rounded = numbers(*half, "w.weight");
  for (std::size_t i = 0; i < w.size(); ++i) ASSERT_EQ(rounded[i], bf16_to_float(float_to_bf16(w[i])));
}

}  // namespace
}  // namespace pagoda
