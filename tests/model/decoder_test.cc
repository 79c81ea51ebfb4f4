#include "model/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/json.h"
#include "base/mmap.h"
#include "model/registry.h"
#include "tests/testing/test_data.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TinyModel;
using testing::TinyModelOptions;

// A decoder with a cache for one sequence, whose blocks lie scattered.
class OneSequence {
 public:
  OneSequence(const Decoder& decoder, DType kv_dtype, int num_threads)
      : decoder_(decoder), pool_(num_threads), stream_(&pool_), activations_(decoder.config(), 512) {
    const AttentionShape& shape = decoder.config().attention;
    const std::size_t bytes =
        kBlocks * kv_block_bytes(kv_dtype, shape.num_kv_heads, shape.head_dim, kBlockSize);
    for (std::size_t i = 0; i < decoder.config().layers.size(); ++i) {
      buffers_.emplace_back(bytes);
      buffers_.emplace_back(bytes);
      views_.push_back({buffers_[2 * i].data(), buffers_[2 * i + 1].data(), kv_dtype, shape.num_kv_heads,
                        shape.head_dim, kBlockSize});
    }
    for (int i = 0; i < kBlocks - 1; ++i) table_.push_back(1 + i * 7 % (kBlocks - 1));
  }

  // Logits after each of `ids`, which come in pieces of `chunk` tokens.
  std::vector<std::vector<float>> run(const std::vector<int32_t>& ids, int chunk) {
    std::vector<std::vector<float>> out;
    for (int begin = 0; begin < static_cast<int>(ids.size()); begin += chunk) {
      const int count = std::min(chunk, static_cast<int>(ids.size()) - begin);
      std::vector<int32_t> positions, rows;
      std::vector<int64_t> slots;
      for (int i = 0; i < count; ++i) {
        const int p = begin + i;
        positions.push_back(p);
        rows.push_back(i);
        slots.push_back(int64_t{table_[static_cast<std::size_t>(p / kBlockSize)]} * kBlockSize +
                        p % kBlockSize);
      }
      const int32_t query_start[] = {0, count}, seq_len = begin + count;
      const ModelConfig& config = decoder_.config();
      AttnBatch batch{query_start,
                      &seq_len,
                      table_.data(),
                      slots.data(),
                      1,
                      count,
                      static_cast<int32_t>(table_.size()),
                      kBlockSize,
                      config.layers[0].window,
                      config.attention_scale,
                      0};
      decoder_.forward({ids.data() + begin, positions.data(), count, {&batch, 1}}, views_, &activations_,
                       stream_);
      std::vector<float> numbers(static_cast<std::size_t>(count * config.vocab_size));
      decoder_.logits(Tensor::matrix(numbers.data(), DType::kF32, count, config.vocab_size), rows,
                      &activations_, stream_);
      for (int i = 0; i < count; ++i)
        out.emplace_back(numbers.begin() + i * config.vocab_size,
                         numbers.begin() + (i + 1) * config.vocab_size);
    }
    return out;
  }

 private:
  static constexpr int kBlocks = 65, kBlockSize = 16;
  const Decoder& decoder_;
  ComputePool pool_;
  Stream stream_;
  Activations activations_;
  std::vector<Buffer> buffers_;
  std::vector<KvLayerView> views_;
  std::vector<int32_t> table_;
};

Result<std::unique_ptr<Decoder>> load(const std::string& folder, std::optional<DType> dtype = {}) {
  PAGODA_TRY(std::string config, read_file(folder + "/config.json"));
  PAGODA_TRY(ModelSpec spec, read_model_spec(config, "config.json"));
  PAGODA_TRY(auto checkpoint, Checkpoint::open(folder));
  ComputePool pool(1);
  Stream stream(&pool);
  return Decoder::load(spec, *checkpoint, {.dtype = dtype}, stream);
}

std::vector<int32_t> some_ids(int count, int vocab) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back((i * i * 7 + i * 3 + 1) % vocab);
  return ids;
}

// The largest distance, relative to the spread of the exact logits.
double worst_error(const std::vector<std::vector<float>>& found,
                   const std::vector<std::vector<double>>& exact) {
  double worst = 0, square = 0, count = 0;
  for (std::size_t t = 0; t < exact.size(); ++t) {
    for (std::size_t i = 0; i < exact[t].size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(found[t][i]) - exact[t][i]));
      square += exact[t][i] * exact[t][i];
      ++count;
    }
  }
  return worst / std::sqrt(square / count);
}

TEST(Decoder, AgreesWithTheDefinitionInDouble) {
  const TinyModelOptions cases[] = {
      {},
      {.tied_head = true, .shards = 3, .seed = 2},
      {.vocab = 101,
       .hidden = 40,
       .intermediate = 56,
       .layers = 3,
       .heads = 6,
       .kv_heads = 2,
       .head_dim = 10,
       .seed = 3},
      {.heads = 4, .kv_heads = 4, .head_dim = 8, .llama3_rope = true, .seed = 4},
      {.kv_heads = 1, .attention_bias = true, .mlp_bias = true, .seed = 5},
      {.dtype = "bfloat16", .tied_head = true, .seed = 6},
      {.dtype = "float16", .llama3_rope = true, .attention_bias = true, .shards = 2, .seed = 7},
      {.sliding_window = 20, .architecture = "MistralForCausalLM", .seed = 8},
  };
  for (const TinyModelOptions& options : cases) {
    SCOPED_TRACE(options.seed);
    TinyModel model = make_tiny_model(options);
    testing::TempDir dir;
    write_tiny_model(model, dir.path());
    auto decoder = load(dir.path(), DType::kF32), stored = load(dir.path());
    ASSERT_TRUE(decoder.ok() && stored.ok()) << decoder.status().message() << stored.status().message();
    const std::vector<int32_t> ids = some_ids(75, options.vocab);
    const auto exact = model.logits(ids);
    EXPECT_LT(worst_error(OneSequence(**decoder, DType::kF32, 1).run(ids, 75), exact), 2e-5);
    // Weights of float16 are widened; for those of bfloat16 the activations are rounded, too.
    EXPECT_LT(worst_error(OneSequence(**stored, DType::kF32, 1).run(ids, 75), exact),
              options.dtype == "bfloat16" ? 4e-2 : 2e-5);
    EXPECT_LT(worst_error(OneSequence(**decoder, DType::kF16, 1).run(ids, 75), exact), 1e-2);
    EXPECT_LT(worst_error(OneSequence(**decoder, DType::kBF16, 1).run(ids, 75), exact), 8e-2);
  }
}

TEST(Decoder, ChunksAndThreadsChangeNoBit) {
  TinyModel model =
      testing::make_tiny_model({.vocab = 150, .layers = 2, .dtype = "bfloat16", .llama3_rope = true});
  testing::TempDir dir;
  write_tiny_model(model, dir.path());
  auto decoder = load(dir.path());
  ASSERT_TRUE(decoder.ok());
  const std::vector<int32_t> ids = some_ids(140, 150);
  for (DType kv : {DType::kF32, DType::kBF16, DType::kF16}) {
    const auto whole = OneSequence(**decoder, kv, 1).run(ids, 140);
    for (int chunk : {1, 3, 16, 64, 139})
      EXPECT_EQ(OneSequence(**decoder, kv, chunk % 2 + 1).run(ids, chunk), whole)
          << dtype_name(kv) << " " << chunk;
  }
}

TEST(Decoder, GivesTheLogitsOfStories260K) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "models/stories260K");
  const Value golden = parse_json(read_file(folder + "/golden.json").value()).value();
  std::vector<int32_t> ids;
  for (const Value& id : golden.find("ids")->as_array()) ids.push_back(static_cast<int32_t>(id.as_int()));
  const std::string raw = read_file(folder + "/logits_run_c.f32").value();
  ASSERT_EQ(raw.size(), 200u * 512 * 4);
  ids.resize(200);
  auto decoder = load(folder);
  ASSERT_TRUE(decoder.ok()) << decoder.status().message();
  EXPECT_EQ((*decoder)->dtype(), DType::kF32);
  const auto found = OneSequence(**decoder, DType::kF32, 2).run(ids, 200);
  double worst = 0;
  for (std::size_t t = 0; t < 200; ++t) {
    float expected[512];
    std::memcpy(expected, raw.data() + t * sizeof expected, sizeof expected);
    for (std::size_t i = 0; i < 512; ++i)
      worst = std::max(worst, std::abs(static_cast<double>(found[t][i]) - static_cast<double>(expected[i])));
  }
  EXPECT_LT(worst, 1e-4);
  RecordProperty("worst_logit_difference", std::to_string(worst));
}

TEST(Decoder, ConvertsAtLoad) {
  TinyModel model = testing::make_tiny_model({});
  testing::TempDir dir;
  write_tiny_model(model, dir.path());
  const std::vector<int32_t> ids = some_ids(40, 96);
  const auto exact = model.logits(ids);
  auto full = load(dir.path()), half = load(dir.path(), DType::kBF16);
  ASSERT_TRUE(full.ok() && half.ok());
  EXPECT_EQ((*half)->dtype(), DType::kBF16);
  EXPECT_LT((*half)->weight_bytes(), (*full)->weight_bytes());
  const double error = worst_error(OneSequence(**half, DType::kF32, 1).run(ids, 40), exact);
  EXPECT_GT(error, 1e-4);  // rounded weights
  EXPECT_LT(error, 0.1);
}

TEST(Decoder, RefusesACheckpointThatDoesNotFit) {
  TinyModel model = testing::make_tiny_model({});
  testing::TempDir dir;
  write_tiny_model(model, dir.path());
  auto without = [&](const std::string& name) {
    std::vector<testing::TinyTensor> tensors = model.tensors;
    std::erase_if(tensors, [&](const auto& tensor) { return tensor.name == name; });
    return tensors;
  };
  auto outcome = [&](const std::vector<testing::TinyTensor>& tensors, const std::string& dtype = "float32") {
    testing::write_file(dir.file("model.safetensors"), testing::safetensors_bytes(tensors, dtype));
    return load(dir.path()).status();
  };
  EXPECT_THAT(outcome(without("model.norm.weight")).message(), HasSubstr("1 missing (model.norm.weight)"));
  std::vector<testing::TinyTensor> tensors = model.tensors;
  tensors.push_back({"model.layers.0.self_attn.q_norm.weight", {8}, std::vector<float>(8, 1.0f)});
  EXPECT_THAT(outcome(tensors).message(),
              HasSubstr("1 that the model does not have (model.layers.0.self_attn.q_norm.weight"));
  tensors.back().name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  EXPECT_TRUE(outcome(tensors).ok());
  tensors.back() = {"model.layers.1.self_attn.k_scale", {1}, {1.0f}};
  EXPECT_TRUE(outcome(tensors).ok());
  tensors = without("lm_head.weight");
  tensors.push_back({"lm_head.weight", {95, 32}, std::vector<float>(95 * 32, 1.0f)});
  EXPECT_THAT(outcome(tensors).message(),
              AllOf(HasSubstr("lm_head.weight"), HasSubstr("expected [96, 32], found [95, 32]")));
}

TEST(Decoder, LoadsDummyWeights) {
  TinyModel model = testing::make_tiny_model({.tied_head = true});
  auto spec = read_model_spec(model.config_json(), "config.json");
  ASSERT_TRUE(spec.ok());
  ComputePool pool(2);
  Stream stream(&pool);
  auto checkpoint = make_dummy_checkpoint(expected_tensors(*spec), DType::kBF16, 0, &pool);
  auto decoder = Decoder::load(*spec, *checkpoint, {}, stream);
  ASSERT_TRUE(decoder.ok()) << decoder.status().message();
  EXPECT_EQ((*decoder)->dtype(), DType::kBF16);
  const auto logits = OneSequence(**decoder, DType::kBF16, 1).run(some_ids(20, 96), 20);
  EXPECT_NE(logits[3], logits[4]);
  for (float logit : logits[19]) EXPECT_TRUE(std::isfinite(logit));
}

}  // namespace
}  // namespace pagoda
