#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "base/rng.h"
#include "layers/mlp.h"
#include "layers/norm.h"
#include "layers/vocabulary.h"
#include "ops/cpu/cpu_stream.h"
#include "tests/testing/grouped_checkpoint.h"

namespace pagoda {
namespace {

using testing::StoredAs;
using testing::TinyTensor;
using enum TensorRole;

// Weights in memory, and the same as plain lists.
class Layers : public ::testing::Test {
 protected:
  void add(const std::string& name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    TinyTensor& tensor = tensors_.emplace_back();
    tensor.name = name;
    tensor.shape = std::move(shape);
    for (int64_t i = 0; i < count; ++i) tensor.values.push_back(static_cast<float>(rng_.uniform() * 2 - 1));
  }
  // Named by role; without `.weight` and `.bias`.
  WeightSource source(const std::vector<std::pair<TensorRole, std::string>>& names) {
    list_.clear();
    for (const auto& [role, name] : names)
      for (const TinyTensor& tensor : tensors_)
        if (tensor.name == name + ".weight" || tensor.name == name + ".bias")
          list_.push_back({.role = role,
                           .is_bias = tensor.name == name + ".bias",
                           .sources = {{tensor.name}},
                           .shape = tensor.shape});
    testing::RawTensors raw;
    for (TinyTensor& tensor : tensors_) {
      auto how = stored_as_.find(tensor.name);
      raw.add(&tensor, how == stored_as_.end() ? StoredAs::kFloats : how->second);
    }
    bytes_ = raw.file();
    checkpoint_ = testing::GroupedCheckpoint::open(bytes_);
    return {*checkpoint_, list_, {DType::kF32}, stream_};
  }
  double at(std::size_t tensor, int64_t row, int64_t column) const {
    return static_cast<double>(
        tensors_[tensor].values[static_cast<std::size_t>(row * tensors_[tensor].shape.back() + column)]);
  }
  std::vector<float> random(int64_t count) {
    std::vector<float> x;
    for (int64_t i = 0; i < count; ++i) x.push_back(static_cast<float>(rng_.uniform() * 2 - 1));
    return x;
  }
  static Tensor matrix(std::vector<float>& numbers, int64_t columns) {
    return Tensor::matrix(numbers.data(), DType::kF32, static_cast<int64_t>(numbers.size()) / columns,
                          columns);
  }

  // What `layer` reads of x; valid until the next call.
  LinearInput input(const Linear& layer, std::vector<float>& x, int64_t columns) {
    const Tensor rows = matrix(x, columns);
    make_room(layer.input_bytes(rows.rows()));
    const LinearInput input = layer.input(room_, rows.rows());
    input.convert(rows, stream_);
    return input;
  }
  MatmulInput input(const Vocabulary& vocabulary, std::vector<float>& x, int64_t columns) {
    const Tensor rows = matrix(x, columns);
    make_room(vocabulary.input_bytes(rows.rows()));
    const MatmulInput input = vocabulary.input(room_, rows.rows());
    convert_input(input, rows, stream_);
    return input;
  }
  void make_room(std::size_t bytes) {
    if (room_.bytes() < bytes) room_ = DeviceBuffer(stream_.memory(), bytes);
  }
  // y = linear(x), or what was in y and that.
  std::vector<float> product(const Linear& linear, std::vector<float>& x, int64_t columns,
                             std::vector<float> y, Epilogue epilogue) {
    const int64_t rows = static_cast<int64_t>(x.size()) / columns;
    linear.forward(matrix(y, static_cast<int64_t>(y.size()) / rows), input(linear, x, columns), epilogue,
                   stream_);
    return y;
  }
  static std::vector<WeightFormat> formats(const Linear& linear) {
    std::vector<WeightFormat> formats;
    for (const PackedPart& part : linear.parts()) formats.push_back(part.weight->header().format);
    return formats;
  }

  DeviceBuffer room_;
  ComputePool pool_{2};
  CpuStream stream_{&pool_};
  SplitMix64 rng_{11};
  std::vector<TinyTensor> tensors_;
  std::map<std::string, StoredAs> stored_as_;  // others: kFloats
  std::vector<TensorSpec> list_;
  std::string bytes_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

TEST_F(Layers, SeveralProjectionsAreOneProduct) {
  add("a.weight", {5, 13});
  add("a.bias", {5});
  add("b.weight", {18, 13});
  add("b.bias", {18});
  Linear linear = Linear::load(source({{kQuery, "a"}, {kKey, "b"}}), {kQuery, kKey}).value();
  std::vector<float> x = random(3 * 13), y = random(3 * 23), before = y;
  for (bool accumulate : {true, false}) {
    linear.forward(matrix(y, 23), input(linear, x, 13), accumulate ? Epilogue::kAdd : Epilogue::kStore,
                   stream_);
    for (int t = 0; t < 3; ++t) {
      for (int j = 0; j < 23; ++j) {
        const std::size_t part = j < 5 ? 0 : 2;
        const int row = j < 5 ? j : j - 5;
        double expected =
            at(part + 1, 0, row) +
            (accumulate ? static_cast<double>(before[static_cast<std::size_t>(t * 23 + j)]) : 0);
        for (int i = 0; i < 13; ++i)
          expected += at(part, row, i) * static_cast<double>(x[static_cast<std::size_t>(t * 13 + i)]);
        EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(t * 23 + j)]), expected, 1e-5);
      }
    }
  }
}

constexpr WeightFormat kF32Format{WeightScheme::kF32}, kInt8Format{WeightScheme::kInt8},
    kInt4Format{WeightScheme::kInt4, 32, true};

// Each part computes, bit for bit, what it computes alone; two of one format that are no neighbours are two
// parts, as each quantizes its input by its own columns.
TEST_F(Layers, NeighboursThatArePackedAlikeAreOnePart) {
  constexpr int64_t kColumns = 64;
  const std::pair<TensorRole, std::string> names[] = {{kQuery, "q"}, {kKey, "k"}, {kValue, "v"}};
  const int64_t outputs[] = {70, 6, 7};
  for (std::size_t i = 0; i < 3; ++i) {
    add(names[i].second + ".weight", {outputs[i], kColumns});
    add(names[i].second + ".bias", {outputs[i]});
  }
  struct Case {
    std::array<StoredAs, 3> stored;
    std::vector<WeightFormat> formats;
    std::vector<std::size_t> projections;  // of each part
  };
  const auto floats = StoredAs::kFloats, int8 = StoredAs::kInt8, int4 = StoredAs::kInt4;
  const Case cases[] = {
      {{floats, floats, floats}, {kF32Format}, {3}},
      {{int8, int8, int8}, {kInt8Format}, {3}},
      {{int4, int4, int8}, {kInt4Format, kInt8Format}, {2, 1}},
      {{floats, int8, int8}, {kF32Format, kInt8Format}, {1, 2}},
      {{int8, floats, int8}, {kInt8Format, kF32Format, kInt8Format}, {1, 1, 1}},
      {{int8, int4, floats}, {kInt8Format, kInt4Format, kF32Format}, {1, 1, 1}},
  };
  for (const Case& c : cases) {
    for (std::size_t i = 0; i < 3; ++i) stored_as_[names[i].second + ".weight"] = c.stored[i];
    const WeightSource from = source({std::begin(names), std::end(names)});
    const Linear linear = Linear::load(from, {kQuery, kKey, kValue}).value();
    ASSERT_EQ(formats(linear), c.formats);
    for (int64_t tokens : {1, 5})
      for (Epilogue epilogue : {Epilogue::kStore, Epilogue::kAdd}) {
        std::vector<float> x = random(tokens * kColumns), y = random(tokens * 83);
        const std::vector<float> found = product(linear, x, kColumns, y, epilogue);
        int64_t begin = 0;
        const std::pair<TensorRole, std::string>* first = names;
        for (const std::size_t count : c.projections) {
          const Linear alone = count == 3   ? Linear::load(from, {kQuery, kKey, kValue}).value()
                               : count == 2 ? Linear::load(from, {first[0].first, first[1].first}).value()
                                            : Linear::load(from, {first[0].first}).value();
          first += count;
          const int64_t n = alone.parts()[0].weight->n();
          std::vector<float> columns;
          for (int64_t t = 0; t < tokens; ++t)
            columns.insert(columns.end(), y.begin() + t * 83 + begin, y.begin() + t * 83 + begin + n);
          columns = product(alone, x, kColumns, columns, epilogue);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t j = 0; j < n; ++j)
              ASSERT_EQ(found[static_cast<std::size_t>(t * 83 + begin + j)],
                        columns[static_cast<std::size_t>(t * n + j)]);
          begin += n;
        }
        ASSERT_EQ(begin, 83);
      }
  }
}

TEST_F(Layers, WhatMustBeOneProductIsHeldAsNumbers) {
  add("gate.weight", {20, 64});
  add("up.weight", {20, 64});
  stored_as_ = {{"gate.weight", StoredAs::kInt8}, {"up.weight", StoredAs::kInt4}};
  const Linear gated = Linear::load(source({{kGate, "gate"}, {kUp, "up"}}), {kGate, kUp}, true).value();
  EXPECT_EQ(formats(gated), std::vector<WeightFormat>{kF32Format});
  std::vector<float> x = random(64);
  const std::vector<float> y = product(gated, x, 64, std::vector<float>(20), Epilogue::kSiluMul);
  for (int j = 0; j < 20; ++j) {
    double gate = 0, up = 0;
    for (int i = 0; i < 64; ++i) {
      gate += at(0, j, i) * static_cast<double>(x[static_cast<std::size_t>(i)]);
      up += at(1, j, i) * static_cast<double>(x[static_cast<std::size_t>(i)]);
    }
    EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(j)]), gate / (1 + std::exp(-gate)) * up, 1e-3);
  }
  // More pieces than a Linear has parts.
  for (const char* name : {"a.weight", "b.weight", "c.weight", "d.weight", "e.weight"}) {
    add(name, {8, 64});
    stored_as_[name] = tensors_.size() % 2 == 0 ? StoredAs::kInt8 : StoredAs::kInt4;
  }
  WeightSource from = source({});
  const TensorSpec split{.role = kDown,
                         .sources = {{"a.weight"}, {"b.weight"}, {"c.weight"}, {"d.weight"}, {"e.weight"}},
                         .shape = {40, 64}};
  from.tensors = {&split, 1};
  EXPECT_EQ(formats(Linear::load(from, {kDown}).value()), std::vector<WeightFormat>{kF32Format});
}

TEST_F(Layers, FormatsComeWithTheTensors) {
  for (const char* name : {"embed.weight", "q.weight", "k.weight", "v.weight"}) add(name, {4, 64});
  stored_as_ = {{"q.weight", StoredAs::kInt8}, {"v.weight", StoredAs::kInt4}};
  source({{kEmbedding, "embed"}, {kQuery, "q"}, {kKey, "k"}, {kValue, "v"}});
  const WeightFormat bf16{WeightScheme::kBF16};
  UsedFormats used = WeightFormats{DType::kBF16}.used(list_, checkpoint_.get());
  EXPECT_EQ(used.layers, (std::vector<WeightFormat>{kInt8Format, bf16, kInt4Format}));
  EXPECT_EQ(used.vocabulary, std::vector<WeightFormat>{bf16});
  EXPECT_EQ(used.all(), (std::vector<WeightFormat>{kInt8Format, bf16, kInt4Format, bf16, bf16}));
  EXPECT_EQ(used.max_input_parts(), kLinearPartsMax);
  // What is stored as numbers is quantized as asked, what is stored as codes keeps its own.
  used = WeightFormats{DType::kF16, kInt8Format, kInt4Format}.used(list_, checkpoint_.get());
  EXPECT_EQ(used.layers, (std::vector<WeightFormat>{kInt8Format, kInt4Format}));
  EXPECT_EQ(used.vocabulary, std::vector<WeightFormat>{kInt4Format});
  list_.push_back({.role = kRouter, .sources = {{"q.weight"}}, .shape = {4, 64}});
  used = WeightFormats{DType::kBF16}.used(list_, checkpoint_.get());
  EXPECT_EQ(used.layers, (std::vector<WeightFormat>{kInt8Format, bf16, kInt4Format}));
  EXPECT_EQ(used.others, (std::vector<WeightFormat>{kF32Format, bf16})) << "a router's choices are exact";
  list_.pop_back();
  used = WeightFormats{DType::kF16, kInt8Format}.used(list_, nullptr);
  EXPECT_EQ(used.all(), (std::vector<WeightFormat>{kInt8Format, {WeightScheme::kF16}})) << "dummy weights";
  EXPECT_EQ(used.max_input_parts(), 1);
}

TEST_F(Layers, GatedMlpAddsToTheResidual) {
  add("gate.weight", {20, 8});
  add("up.weight", {20, 8});
  add("down.weight", {8, 20});
  GatedMlp mlp =
      GatedMlp::load(source({{kGate, "gate"}, {kUp, "up"}, {kDown, "down"}}), {.intermediate_size = 20})
          .value();
  std::vector<float> x = random(2 * 8), residual = random(2 * 8), before = residual;
  MlpScratch scratch;
  scratch.activated = DeviceBuffer(stream_.memory(), 2 * 20 * sizeof(float));
  scratch.down_input = DeviceBuffer(stream_.memory(), mlp.down().input_bytes(2));
  mlp.forward(matrix(residual, 8), input(mlp.input(), x, 8), Epilogue::kAdd, &scratch, stream_);
  for (int t = 0; t < 2; ++t) {
    std::vector<double> h(20);
    for (int j = 0; j < 20; ++j) {
      double gate = 0, up = 0;
      for (int i = 0; i < 8; ++i) {
        gate += at(0, j, i) * static_cast<double>(x[static_cast<std::size_t>(t * 8 + i)]);
        up += at(1, j, i) * static_cast<double>(x[static_cast<std::size_t>(t * 8 + i)]);
      }
      h[static_cast<std::size_t>(j)] = gate / (1 + std::exp(-gate)) * up;
    }
    for (int i = 0; i < 8; ++i) {
      double expected = static_cast<double>(before[static_cast<std::size_t>(t * 8 + i)]);
      for (int j = 0; j < 20; ++j) expected += at(2, i, j) * h[static_cast<std::size_t>(j)];
      EXPECT_NEAR(static_cast<double>(residual[static_cast<std::size_t>(t * 8 + i)]), expected, 1e-5);
    }
  }
}

TEST_F(Layers, VocabularyTiedAndNot) {
  add("embed.weight", {30, 8});
  add("head.weight", {30, 8});
  const auto of = source({{kEmbedding, "embed"}, {kHead, "head"}});
  Vocabulary tied = Vocabulary::load(of, true).value();
  Vocabulary untied = Vocabulary::load(of, false).value();
  EXPECT_LT(tied.bytes(), untied.bytes());
  const int32_t ids[] = {29, 0, 7};
  std::vector<float> x(3 * 8), logits(3 * 30);
  for (std::size_t kind = 0; kind < 2; ++kind) {
    const Vocabulary& vocabulary = kind == 0 ? tied : untied;
    vocabulary.embed(matrix(x, 8), {ids, std::ssize(ids)}, 1, stream_);
    vocabulary.logits(matrix(logits, 30), input(vocabulary, x, 8), stream_);
    for (int t = 0; t < 3; ++t) {
      for (int i = 0; i < 8; ++i)
        EXPECT_EQ(static_cast<double>(x[static_cast<std::size_t>(t * 8 + i)]), at(0, ids[t], i));
      for (int j = 0; j < 30; ++j) {
        double expected = 0;
        for (int i = 0; i < 8; ++i) expected += at(kind, j, i) * at(0, ids[t], i);
        EXPECT_NEAR(static_cast<double>(logits[static_cast<std::size_t>(t * 30 + j)]), expected, 1e-5);
      }
    }
  }
}

// The slices of a fused tensor, in any order and as a gate and its other half, are what its rows are alone.
TEST_F(Layers, SlicesOfAFusedTensor) {
  add("fused.weight", {12, 6});
  add("fused.bias", {12});
  WeightSource of = source({});
  const auto slice = [](TensorRole role, bool is_bias, int64_t begin, int64_t count) {
    return TensorSpec{.role = role,
                      .is_bias = is_bias,
                      .sources = {{is_bias ? "fused.bias" : "fused.weight", begin, count}},
                      .shape = is_bias ? std::vector<int64_t>{count} : std::vector<int64_t>{count, 6}};
  };
  const std::vector<TensorSpec> list = {slice(kQuery, false, 0, 4), slice(kQuery, true, 0, 4),
                                        slice(kKey, false, 4, 8),   slice(kKey, true, 4, 8),
                                        slice(kGate, false, 2, 5),  slice(kUp, false, 7, 5)};
  of.tensors = list;
  std::vector<float> x = random(6);
  auto product = [&](int64_t row, bool has_bias) {
    double sum = has_bias ? at(1, 0, row) : 0;
    for (int i = 0; i < 6; ++i) sum += at(0, row, i) * static_cast<double>(x[static_cast<std::size_t>(i)]);
    return sum;
  };
  const struct {
    TensorRole first, second;
    int64_t first_row, second_row;
  } cases[] = {{kQuery, kKey, 0, 4}, {kKey, kQuery, 4, 0}};
  for (const auto& c : cases) {
    Linear linear = Linear::load(of, {c.first, c.second}).value();
    std::vector<float> y(12);
    linear.forward(matrix(y, 12), input(linear, x, 6), Epilogue::kStore, stream_);
    const int64_t split = c.first == kQuery ? 4 : 8;
    for (int64_t j = 0; j < 12; ++j) {
      const int64_t row = j < split ? c.first_row + j : c.second_row + j - split;
      EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(j)]), product(row, true), 1e-5) << j;
    }
  }
  Linear gated = Linear::load(of, {kGate, kUp}, true).value();
  std::vector<float> y(5);
  gated.forward(matrix(y, 5), input(gated, x, 6), Epilogue::kSiluMul, stream_);
  for (int64_t j = 0; j < 5; ++j) {
    const double gate = product(2 + j, false);
    EXPECT_NEAR(static_cast<double>(y[static_cast<std::size_t>(j)]),
                gate / (1 + std::exp(-gate)) * product(7 + j, false), 1e-5);
  }
}

TEST_F(Layers, SayWhatCannotBeLoaded) {
  add("a.weight", {4, 6});
  add("b.weight", {4, 5});
  WeightSource of = source({{kQuery, "a"}, {kKey, "b"}});
  EXPECT_FALSE(Linear::load(of, {kQuery, kKey}).ok());  // columns differ
  stored_as_["a.weight"] = StoredAs::kInt8;
  WeightSource mixed = source({{kQuery, "a"}, {kKey, "b"}});
  EXPECT_THAT(Linear::load(mixed, {kQuery, kKey}).status().message(),
              ::testing::HasSubstr("agree in columns"));
  list_.push_back({.role = kValue, .sources = {{"c.weight"}}, .shape = {4, 6}});
  list_.push_back({.role = kPreMlpNorm, .sources = {{"norm.weight"}}, .shape = {6}});
  mixed.tensors = list_;
  EXPECT_THAT(Linear::load(mixed, {kValue}).status().message(), ::testing::HasSubstr("'c.weight'"));
  EXPECT_FALSE(RmsNorm::load(mixed, kPreMlpNorm, {.eps = 1e-5f}).ok());
}

}  // namespace
}  // namespace pagoda
