// Qwen2 and Qwen2.5 (Yang et al., 2024): Llama's decoder with biases of Q, K and V and, if asked for, sliding
// windows in the upper layers. Qwen3 (2025): a norm of each head of Q and K in place of the biases.
#include "model/families/common.h"

namespace pagoda {
namespace {

ModelSpec read_qwen_fields(ConfigReader* reader) {
  ModelSpec spec = read_common_fields(reader);
  read_rope(reader, &spec.config);
  const bool has_windows = reader->boolean("use_sliding_window", false);
  const int64_t window = reader->integer("sliding_window", has_windows ? 4096 : 0, 1, INT32_MAX);
  const int64_t first = reader->integer("max_window_layers", 28, 0, INT32_MAX);
  read_windows(reader, &spec.config, has_windows ? window : 0,
               [&](std::size_t layer) { return static_cast<int64_t>(layer) >= first; });
  return spec;
}

}  // namespace

Result<ModelSpec> read_qwen2_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_qwen_fields(&reader);
  for (LayerConfig& layer : spec.config.layers) layer.attention.qkv_bias = true;
  if (!reader.status().ok()) return reader.status();
  return spec;
}

Result<ModelSpec> read_qwen3_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_qwen_fields(&reader);
  const bool has_bias = reader.boolean("attention_bias", false);
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention.qkv_bias = layer.attention.o_bias = has_bias;
    layer.attention.qk_norm = QkNorm::kHead;
  }
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
