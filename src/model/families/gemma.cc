// Gemma 2 (Riviere et al., 2024) and the text models of Gemma 3 (Kamath et al., 2025): norms of (1 + weight)
// before and behind attention and MLP, GeGLU, scaled embeddings, a tied head, windows in most layers. Gemma 2
// caps scores and logits; Gemma 3 norms each head of Q and K, and its local layers have angles of their own.
#include <cmath>

#include "model/families/common.h"

namespace pagoda {
namespace {

constexpr const char* kLayer = "model.layers.{layer}.";

// But for windows and rotary positions.
ModelSpec read_gemma_fields(ConfigReader* reader, int64_t default_context) {
  ModelSpec spec = read_common_fields(
      reader, {.num_kv_heads = 4, .context_length = default_context, .head_dim = 256, .tied_head = true});
  ModelConfig& c = spec.config;
  if (reader->boolean("use_bidirectional_attention", false))
    reader->fail("`use_bidirectional_attention`: only causal attention is supported");
  c.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(c.hidden_size)));
  c.final_norm.adds_one = true;
  LayerConfig layer = c.layers[0];
  layer.norms.adds_one = true;
  layer.norms.placement = NormPlacement::kSandwich;
  layer.mlp.activation = read_activation(reader, "hidden_activation", "gelu_pytorch_tanh");
  layer.attention.qkv_bias = layer.attention.o_bias = reader->boolean("attention_bias", false);
  const double scalar = reader->number("query_pre_attn_scalar", 256, 1e-6, 1e6);
  layer.attention.scale = static_cast<float>(1 / std::sqrt(scalar));
  c.layers.assign(c.layers.size(), layer);
  spec.names = {{TensorRole::kPreMlpNorm, std::string(kLayer) + "pre_feedforward_layernorm"}};
  return spec;
}

// Absent: `fallback`; null or 0: none.
float read_cap(ConfigReader* reader, const char* key, double fallback) {
  return static_cast<float>(reader->number(key, reader->is_null(key) ? 0 : fallback, 0, 1e6));
}

}  // namespace

Result<ModelSpec> read_gemma2_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_gemma_fields(&reader, 8192);
  read_rope(&reader, &spec.config);
  read_windows(&reader, &spec.config, 4096, [](std::size_t layer) { return layer % 2 == 0; });
  for (LayerConfig& layer : spec.config.layers)
    layer.attention.softcap = read_cap(&reader, "attn_logit_softcapping", 50);
  spec.config.logit_softcap = read_cap(&reader, "final_logit_softcapping", 30);
  if (!reader.status().ok()) return reader.status();
  return spec;
}

Result<ModelSpec> read_gemma3_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_gemma_fields(&reader, 131072);
  ModelConfig& c = spec.config;
  const auto pattern = static_cast<std::size_t>(reader.integer("sliding_window_pattern", 6, 1, 1 << 20));
  const std::vector<bool> is_local =
      read_windows(&reader, &c, 4096, [&](std::size_t layer) { return (layer + 1) % pattern != 0; });
  read_ropes_by_kind(&reader, &c, {.theta = 1e6}, {.theta = 1e4});
  for (std::size_t i = 0; i < c.layers.size(); ++i) {
    c.layers[i].attention.qk_norm = QkNorm::kHead;
    c.layers[i].attention.softcap = read_cap(&reader, "attn_logit_softcapping", 0);
    c.layers[i].rope = is_local[i] ? 1 : 0;
  }
  c.logit_softcap = read_cap(&reader, "final_logit_softcapping", 0);
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
