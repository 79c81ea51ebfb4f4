#include "decoder/decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/json.h"
#include "base/mmap.h"
#include "model/registry.h"
#include "tests/decoder/driven_decoder.h"
#include "tests/testing/grouped_checkpoint.h"
#include "tests/testing/test_data.h"
#include "tests/testing/tiny_model.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {
namespace {

using ::testing::AllOf;
using testing::DrivenDecoder;
using ::testing::HasSubstr;
using testing::Logits;
using testing::Piece;
using testing::TinyModel;
using testing::TinyModelOptions;

Result<std::unique_ptr<Decoder>> load(const std::string& folder, const DecoderOptions& options = {}) {
  PAGODA_TRY(std::string config, read_file(folder + "/config.json"));
  PAGODA_TRY(ModelSpec spec, read_model_spec(config, "config.json"));
  PAGODA_TRY(auto checkpoint, Checkpoint::open(folder));
  ComputePool pool(1);
  CpuStream stream(&pool);
  return Decoder::load(spec, *checkpoint, options, stream);
}

std::vector<int32_t> some_ids(int count, int vocab) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back((i * i * 7 + i * 3 + 1) % vocab);
  return ids;
}

// The largest distance, relative to the spread of the exact logits.
double worst_error(const Logits& found, const std::vector<std::vector<double>>& exact) {
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
    auto decoder = load(dir.path(), {.dtype = DType::kF32}), stored = load(dir.path());
    ASSERT_TRUE(decoder.ok() && stored.ok()) << decoder.status().message() << stored.status().message();
    const std::vector<int32_t> ids = some_ids(75, options.vocab);
    const auto exact = model.logits(ids);
    EXPECT_LT(worst_error(DrivenDecoder(**decoder, DType::kF32, 1).run(ids, 75), exact), 2e-5);
    // Weights of float16 are widened; for those of bfloat16 the activations are rounded, too.
    EXPECT_LT(worst_error(DrivenDecoder(**stored, DType::kF32, 1).run(ids, 75), exact),
              options.dtype == "bfloat16" ? 4e-2 : 2e-5);
    EXPECT_LT(worst_error(DrivenDecoder(**decoder, DType::kF16, 1).run(ids, 75), exact), 1e-2);
    EXPECT_LT(worst_error(DrivenDecoder(**decoder, DType::kBF16, 1).run(ids, 75), exact), 8e-2);
  }
}

// Products of several parts, biases, norms, embedding and head, each of whatever dtype: the same model.
TEST(Decoder, TensorsMayDifferInDtype) {
  constexpr const char* kDtypes[] = {"float32", "bfloat16", "float16", "float64"};
  for (std::size_t turn = 0; turn < 4; ++turn) {
    SCOPED_TRACE(turn);
    TinyModel model = testing::make_tiny_model({.layers = 3,
                                                .attention_bias = true,
                                                .mlp_bias = true,
                                                .shards = turn % 2 == 0 ? 1 : 2,
                                                .seed = 20 + turn});
    for (std::size_t i = 0; i < model.tensors.size(); ++i)
      store_as(&model.tensors[i], kDtypes[(i * 7 / 3 + turn) % 4]);
    testing::TempDir mixed, plain;
    write_tiny_model(model, mixed.path());
    const std::vector<int32_t> ids = some_ids(40, model.options.vocab);
    const auto exact = model.logits(ids);
    for (testing::TinyTensor& tensor : model.tensors) tensor.dtype = "float32";
    write_tiny_model(model, plain.path());
    const double bounds[] = {2e-5, 2e-2, 6e-2};
    const DType held[] = {DType::kF32, DType::kF16, DType::kBF16};
    for (std::size_t i = 0; i < 3; ++i) {
      auto decoder = load(mixed.path(), {.dtype = held[i]}), same = load(plain.path(), {.dtype = held[i]});
      ASSERT_TRUE(decoder.ok() && same.ok()) << decoder.status().message() << same.status().message();
      const Logits logits = DrivenDecoder(**decoder, DType::kF32, 1).run(ids, 40);
      EXPECT_LT(worst_error(logits, exact), bounds[i]) << dtype_name(held[i]);
      EXPECT_EQ(logits, DrivenDecoder(**same, DType::kF32, 1).run(ids, 40)) << dtype_name(held[i]);
    }
    EXPECT_TRUE(load(mixed.path()).ok());
    EXPECT_TRUE(load(mixed.path(), {.layers_format = WeightFormat{WeightScheme::kInt8}}).ok());
  }
}

// int8 layers beside bf16 ones, and one whose q and k are packed in another format than v; gate and up of
// different formats are one product of plain numbers.
TEST(Decoder, FormatsMayDifferFromWeightToWeight) {
  TinyModel model = testing::make_tiny_model(
      {.hidden = 64, .intermediate = 96, .layers = 3, .head_dim = 16, .attention_bias = true, .seed = 31});
  auto stored_as = [](const std::string& name) {
    using enum testing::StoredAs;
    if (!name.ends_with("proj.weight")) return kFloats;
    if (name.starts_with("model.layers.0.")) return kInt8;
    if (name.starts_with("model.layers.2.") &&
        (name.find("q_proj") != name.npos || name.find("k_proj") != name.npos))
      return kInt4;
    return name == "model.layers.2.self_attn.v_proj.weight" || name == "model.layers.2.mlp.up_proj.weight"
               ? kInt8
               : kFloats;
  };
  testing::RawTensors raw;
  for (testing::TinyTensor& tensor : model.tensors) raw.add(&tensor, stored_as(tensor.name));
  const std::string bytes = raw.file();
  const auto checkpoint = testing::GroupedCheckpoint::open(bytes);
  const ModelSpec spec = read_model_spec(model.config_json(), "config.json").value();
  ComputePool pool(2);
  CpuStream stream(&pool);
  const auto load = [&](PackedStore* store) {
    return Decoder::load(spec, *checkpoint, {.dtype = DType::kBF16, .store = store}, stream).value();
  };
  const auto decoder = load(nullptr);
  const WeightFormat bf16{WeightScheme::kBF16}, int8{WeightScheme::kInt8},
      int4{WeightScheme::kInt4, 32, true};
  const std::vector<WeightFormat> expected = {int8, int8, int8, int8,  // qkv, o, gate and up, down
                                              bf16, bf16, bf16, bf16,  //
                                              int4, int8, bf16, bf16,
                                              bf16,   // q and k, v, o, gate and up, down
                                              bf16};  // head
  std::vector<WeightFormat> found;
  for (const PackedWeight* weight : decoder->matrices()) found.push_back(weight->header().format);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(decoder->max_input_parts(), 2);

  const std::vector<int32_t> ids = some_ids(60, model.options.vocab);
  DrivenDecoder driven(*decoder, DType::kF32, 2);
  const Logits logits = driven.run(ids, 60);
  EXPECT_LT(worst_error(logits, model.logits(ids)), 0.12);  // 4 and 8 bits, activations of 8
  driven.restart();
  EXPECT_EQ(driven.run(ids, 7), logits) << "whatever the chunks";

  // A folder of packed weights keeps each part.
  testing::TempDir folder;
  for (int start = 0; start < 2; ++start) {
    PackedStore store(folder.path(), {1, 2}, false, stream);
    EXPECT_EQ(store.find("model.layers.2.self_attn.q_proj.weight model.layers.2.self_attn.k_proj.weight",
                         {64 + 32, 64, int4}) != nullptr,
              start == 1);
    EXPECT_EQ(store.find("model.layers.2.self_attn.v_proj.weight", {32, 64, int8}) != nullptr, start == 1);
    const auto kept = load(&store);
    store.finish();
    EXPECT_EQ(DrivenDecoder(*kept, DType::kF32, 1).run(ids, 60), logits);
  }
}

TEST(Decoder, DtypesThatAreNoFloatsAreNamed) {
  for (const char* dtype : {"F8_E4M3", "F8_E5M2", "I8", "U8", "I32", "BOOL"}) {
    SCOPED_TRACE(dtype);
    TinyModel model = testing::make_tiny_model({});
    testing::TempDir dir;
    write_tiny_model(model, dir.path());
    std::erase_if(model.tensors, [](const auto& tensor) { return tensor.name == "model.norm.weight"; });
    std::string bytes = safetensors_bytes(model.tensors, "float32");
    const std::string size = dtype == std::string("I32") ? "128" : "32";
    const std::string header = std::string(R"({"model.norm.weight":{"dtype":")") + dtype +
                               R"(","shape":[32],"data_offsets":[0,)" + size + "]}}";
    testing::write_file(
        dir.file("model.safetensors.index.json"), "{\"weight_map\":{" + [&] {
          std::string map = R"("model.norm.weight":"norm.safetensors")";
          for (const auto& tensor : model.tensors) map += ",\"" + tensor.name + "\":\"rest.safetensors\"";
          return map + "}}";
        }());
    testing::write_file(dir.file("rest.safetensors"), bytes);
    testing::write_file(dir.file("norm.safetensors"),
                        testing::safetensors_bytes(header, std::string(std::stoul(size), '\0')));
    EXPECT_THAT(load(dir.path()).status().message(),
                AllOf(HasSubstr("1 tensor is not F32"), HasSubstr("model.norm.weight in '"),
                      HasSubstr(std::string("is ") + dtype)));
  }
}

// How weights may be held, the head's included.
std::vector<DecoderOptions> all_formats() {
  std::vector<DecoderOptions> all = {{.dtype = DType::kF32}, {.dtype = DType::kF16}, {.dtype = DType::kBF16}};
  const WeightFormat int8{WeightScheme::kInt8};
  all.push_back({.layers_format = int8, .vocabulary_format = int8});
  for (int32_t group_size : {32, 128})
    for (bool zero_points : {false, true}) {
      const WeightFormat int4{WeightScheme::kInt4, group_size, zero_points};
      all.push_back({.layers_format = int4, .vocabulary_format = int8});
      all.push_back({.layers_format = int4, .vocabulary_format = int4});
    }
  all.push_back({.layers_format = int8});
  all.push_back({.dtype = DType::kF32, .vocabulary_format = int8});
  return all;
}
std::string describe(const DecoderOptions& options) {
  auto name = [&](const std::optional<WeightFormat>& format) {
    return format_name(format.value_or(unquantized(options.dtype.value_or(DType::kBF16))));
  };
  return name(options.layers_format) + ", vocabulary " + name(options.vocabulary_format);
}

// Sequences of unlike lengths through one batch, in pieces of changing size, in changing order.
std::vector<Logits> batched(DrivenDecoder* driven, const std::vector<std::vector<int32_t>>& sequences,
                            std::size_t salt) {
  std::vector<Logits> out(sequences.size());
  std::vector<std::size_t> done(sequences.size());
  std::size_t left = 0;
  for (const auto& ids : sequences) left += ids.size();
  for (std::size_t round = 0; left > 0; ++round) {
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const std::size_t s = (i * 3 + round + salt) % sequences.size(), rest = sequences[s].size() - done[s];
      const std::size_t count = std::min(rest, (round * 5 + s * 7 + salt) % 18);
      if (count == 0) continue;
      pieces.push_back({s, std::span(sequences[s]).subspan(done[s], count)});
    }
    if (pieces.empty()) continue;
    std::size_t row = 0;
    Logits logits = driven->step(pieces);
    for (const Piece& piece : pieces) {
      done[piece.sequence] += piece.ids.size();
      left -= piece.ids.size();
      for (std::size_t i = 0; i < piece.ids.size(); ++i) out[piece.sequence].push_back(logits[row++]);
    }
  }
  return out;
}

TEST(Decoder, AloneBatchedChunkedAndOnAnyThreadsNoBitDiffers) {
  // Widths that are no multiple of a panel, a group or a quad of inputs.
  TinyModel model = testing::make_tiny_model({.vocab = 150,
                                              .hidden = 72,
                                              .intermediate = 146,
                                              .heads = 6,
                                              .head_dim = 12,
                                              .dtype = "bfloat16",
                                              .llama3_rope = true});
  testing::TempDir dir;
  write_tiny_model(model, dir.path());
  std::vector<std::vector<int32_t>> sequences;
  for (int count : {140, 1, 75, 33, 17, 64, 90}) {
    sequences.push_back(some_ids(count, 150));
    for (int32_t& id : sequences.back()) id = (id + count) % 150;
  }
  for (const DecoderOptions& options : all_formats()) {
    SCOPED_TRACE(describe(options));
    auto decoder = load(dir.path(), options);
    ASSERT_TRUE(decoder.ok()) << decoder.status().message();
    for (DType kv : {DType::kF32, DType::kBF16, DType::kF16, DType::kI8}) {
      SCOPED_TRACE(dtype_name(kv));
      std::vector<Logits> alone;
      for (const auto& ids : sequences) alone.push_back(DrivenDecoder(**decoder, kv, 1).run(ids, ids.size()));
      for (std::size_t chunk : {1, 3, 16, 64, 139})
        EXPECT_TRUE(DrivenDecoder(**decoder, kv, chunk % 2 + 1).run(sequences[0], chunk) == alone[0])
            << chunk;
      for (int threads : {1, 2, 3}) {
        DrivenDecoder driven(**decoder, kv, threads, sequences.size());
        const std::vector<Logits> together = batched(&driven, sequences, static_cast<std::size_t>(threads));
        for (std::size_t s = 0; s < sequences.size(); ++s)
          EXPECT_TRUE(together[s] == alone[s]) << "sequence " << s << " on " << threads << " threads";
      }
    }
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
  const auto found = DrivenDecoder(**decoder, DType::kF32, 2).run(ids, 200);
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
  auto full = load(dir.path()), half = load(dir.path(), {.dtype = DType::kBF16});
  ASSERT_TRUE(full.ok() && half.ok());
  EXPECT_EQ((*half)->dtype(), DType::kBF16);
  EXPECT_LT((*half)->weight_bytes(), (*full)->weight_bytes());
  const double error = worst_error(DrivenDecoder(**half, DType::kF32, 1).run(ids, 40), exact);
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
  EXPECT_THAT(outcome(without("model.norm.weight")).message(),
              HasSubstr("1 tensor is missing: model.norm.weight"));
  std::vector<testing::TinyTensor> tensors = model.tensors;
  tensors.push_back({"model.layers.0.self_attn.q_norm.weight", {8}, std::vector<float>(8, 1.0f)});
  EXPECT_THAT(outcome(tensors).message(),
              HasSubstr("1 tensor has no place in the model: model.layers.0.self_attn.q_norm.weight"));
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
  CpuStream stream(&pool);
  auto checkpoint = make_dummy_checkpoint(tensor_list(*spec), DType::kBF16, 0, &pool);
  auto decoder = Decoder::load(*spec, *checkpoint, {}, stream);
  ASSERT_TRUE(decoder.ok()) << decoder.status().message();
  EXPECT_EQ((*decoder)->dtype(), DType::kBF16);
  const auto logits = DrivenDecoder(**decoder, DType::kBF16, 1).run(some_ids(20, 96), 20);
  EXPECT_NE(logits[3], logits[4]);
  for (float logit : logits[19]) EXPECT_TRUE(std::isfinite(logit));
}

}  // namespace
}  // namespace pagoda
