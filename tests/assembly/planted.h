// A served model's weights as lists of floats, and the same function with planted outliers.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/registry.h"
#include "model/tensor_list.h"
#include "tests/testing/tiny_model.h"
#include "weights/checkpoint.h"

namespace pagoda::testing {

// Where channels are made large, with the weights that read them made small, so that in exact arithmetic the
// model computes what it did. Trained models have such channels of themselves, the larger the more.
enum class Outliers { kNone, kNorms, kEverywhere, kKeys, kKeysAndValues };

class Model {
 public:
  Model(const Checkpoint& checkpoint, Object config) : config_(std::move(config)) {
    for (const StoredTensor& stored : checkpoint.tensors())
      tensors_.push_back({stored.name, stored.shape, read_floats(checkpoint, stored.name).value()});
  }

  // 8 channels 30 times as large: behind every norm; kEverywhere: also before every o_proj and down_proj. A
  // tied head is parted from the embedding first, since only the head reads what the norm writes. kKeys,
  // kKeysAndValues: in what the cache holds, see plant_cache().
  void plant(Outliers outliers) {
    if (outliers == Outliers::kNone) return;
    if (outliers >= Outliers::kKeys) return plant_cache(outliers == Outliers::kKeysAndValues);
    const ModelSpec before = spec();
    if (before.config.tied_head) {
      TinyTensor head = *find(name_of(before, TensorRole::kEmbedding));
      head.name = name_of(before, TensorRole::kHead);
      tensors_.push_back(std::move(head));
      config_.set("tie_word_embeddings", Value(false));
    }
    const ModelSpec planted = spec();
    using enum TensorRole;
    for (std::size_t i = 0; i < planted.config.layers.size(); ++i) {
      auto name = [&](TensorRole role) { return name_of(planted, role, static_cast<int32_t>(i)); };
      plant_norm(name(kPreAttentionNorm), {name(kQuery), name(kKey), name(kValue)});
      plant_norm(name(kPreMlpNorm), {name(kGate), name(kUp)});
      if (outliers != Outliers::kEverywhere) continue;
      plant_rows(name(kUp), name(kDown));
      plant_values(planted.config.layers[i].attention, name(kValue), name(kOutput));
    }
    plant_norm(name_of(planted, kFinalNorm), {name_of(planted, kHead)});
  }

  ModelSpec spec() const { return read_model_spec(Value(config_)).value(); }
  // Lives as long as this model.
  std::unique_ptr<Checkpoint> checkpoint() {
    bytes_ = safetensors_bytes(tensors_, "float32");
    return Checkpoint::from_bytes(std::as_bytes(std::span(bytes_)), "memory").value();
  }

 private:
  static constexpr float kFactor = 30;
  static constexpr int64_t kChannels = 8;

  static std::string name_of(const ModelSpec& spec, TensorRole role, int32_t layer = -1) {
    const std::vector<TensorSpec> list = tensor_list(spec);
    return find_tensor(layer < 0 ? list : layer_tensors(list, layer), role)->sources[0].name;
  }
  TinyTensor* find(const std::string& name) {
    for (TinyTensor& tensor : tensors_)
      if (tensor.name == name) return &tensor;
    PAGODA_CHECK(false, "a tensor of this name");
    return nullptr;
  }
  static void multiply_row(TinyTensor* tensor, int64_t row, float factor) {
    const int64_t k = tensor->shape.back();
    for (int64_t i = 0; i < k; ++i) tensor->values[static_cast<std::size_t>(row * k + i)] *= factor;
  }
  static void multiply_column(TinyTensor* tensor, int64_t column, float factor) {
    const int64_t k = tensor->shape.back();
    for (int64_t i = 0; i < tensor->shape[0]; ++i)
      tensor->values[static_cast<std::size_t>(i * k + column)] *= factor;
  }
  static int64_t channel(int64_t i, int64_t width) { return (i * 37 + 5) % width; }

  void plant_norm(const std::string& norm, const std::vector<std::string>& readers) {
    TinyTensor* weight = find(norm);
    for (int64_t i = 0; i < kChannels; ++i) {
      const int64_t at = channel(i, weight->shape.back());
      weight->values[static_cast<std::size_t>(at)] *= kFactor;
      for (const std::string& reader : readers) multiply_column(find(reader), at, 1 / kFactor);
    }
  }
  void plant_rows(const std::string& writer, const std::string& reader) {
    TinyTensor* weight = find(writer);
    for (int64_t i = 0; i < kChannels; ++i) {
      const int64_t at = channel(i, weight->shape[0]);
      multiply_row(weight, at, kFactor);
      multiply_column(find(reader), at, 1 / kFactor);
    }
  }
  // Of the keys of every KV head one pair of channels that rotate together; of the values 8 channels.
  void plant_cache(bool values) {
    const ModelSpec planted = spec();
    for (std::size_t i = 0; i < planted.config.layers.size(); ++i) {
      auto name = [&](TensorRole role) { return name_of(planted, role, static_cast<int32_t>(i)); };
      const AttentionConfig& shape = planted.config.layers[i].attention;
      plant_keys(shape, name(TensorRole::kKey), name(TensorRole::kQuery));
      if (values) plant_values(shape, name(TensorRole::kValue), name(TensorRole::kOutput));
    }
  }
  void plant_keys(const AttentionConfig& shape, const std::string& k, const std::string& q) {
    const int32_t group = shape.num_heads / shape.num_kv_heads, half = shape.head_dim / 2;
    for (int64_t head = 0; head < shape.num_kv_heads; ++head)
      for (int64_t at : {channel(head, half), channel(head, half) + half}) {
        multiply_row(find(k), head * shape.head_dim + at, kFactor);
        for (int64_t h = head * group; h < (head + 1) * group; ++h)
          multiply_row(find(q), h * shape.head_dim + at, 1 / kFactor);
      }
  }
  // Values are read by all query heads of their group.
  void plant_values(const AttentionConfig& shape, const std::string& v, const std::string& o) {
    const int32_t group = shape.num_heads / shape.num_kv_heads;
    for (int64_t i = 0; i < kChannels; ++i) {
      const int64_t at = channel(i, shape.kv_size());
      multiply_row(find(v), at, kFactor);
      const int64_t head = at / shape.head_dim * group;
      for (int64_t h = head; h < head + group; ++h)
        multiply_column(find(o), h * shape.head_dim + at % shape.head_dim, 1 / kFactor);
    }
  }

  Object config_;
  std::vector<TinyTensor> tensors_;
  std::string bytes_;
};

}  // namespace pagoda::testing
