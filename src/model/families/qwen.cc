// Qwen2 and Qwen2.5 (Yang et al., 2024): Llama's decoder with biases of Q, K and V and, if asked for, sliding
// windows in the upper layers. Qwen3 (2025): a norm of each head of Q and K in place of the biases.
#include "model/families/common.h"

namespace pagoda {
namespace {

ModelSpec read_qwen_fields(ConfigReader* reader, int64_t default_head_dim) {
  ModelSpec spec =
      read_common_fields(reader, {.num_kv_heads = 32, .context_length = 32768, .head_dim = default_head_dim});
  read_rope(reader, &spec.config);
  const int64_t first = reader->integer("max_window_layers", 28, 0, INT32_MAX);
  read_windows(reader, &spec.config, 4096,
               [&](std::size_t layer) { return static_cast<int64_t>(layer) >= first; });
  if (!reader->boolean("use_sliding_window", false))
    for (LayerConfig& layer : spec.config.layers) layer.attention.window = 0;
  return spec;
}

}  // namespace

Result<ModelSpec> read_qwen2_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_qwen_fields(&reader, 0);
  for (LayerConfig& layer : spec.config.layers) layer.attention.qkv_bias = true;
  if (!reader.status().ok()) return reader.status();
  return spec;
}

Result<ModelSpec> read_qwen3_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_qwen_fields(&reader, 128);
  const bool has_bias = reader.boolean("attention_bias", false);
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention.qkv_bias = layer.attention.o_bias = has_bias;
    layer.attention.qk_norm = QkNorm::kHead;
  }
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
