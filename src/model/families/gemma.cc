// Gemma 2 (Riviere et al., 2024) and the text models of Gemma 3 (Kamath et al., 2025): norms of (1 + weight)
// before and behind attention and MLP, GeGLU, scaled embeddings, a tied head, windows in most layers. Gemma 2
// caps scores and logits; Gemma 3 norms each head of Q and K, and its local layers have angles of their own.
#include <cmath>

#include "model/families/common.h"

namespace pagoda {
namespace {

constexpr const char* kLayer = "model.layers.{layer}.";

// But for windows and rotary positions.
ModelSpec read_gemma_fields(ConfigReader* reader) {
  ModelSpec spec = read_common_fields(reader);
  ModelConfig& c = spec.config;
  c.tied_head = reader->boolean("tie_word_embeddings", true);
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

// 0: none.
float read_cap(ConfigReader* reader, const char* key, double fallback) {
  return static_cast<float>(reader->number(key, fallback, 0, 1e6));
}

}  // namespace

Result<ModelSpec> read_gemma2_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_gemma_fields(&reader);
  read_rope(&reader, &spec.config);
  const int64_t window = reader.integer("sliding_window", 4096, 1, INT32_MAX);
  read_windows(&reader, &spec.config, window, [](std::size_t layer) { return layer % 2 == 0; });
  // Absent is the configuration class's default; null is none.
  const auto cap = [&](const char* key, double fallback) {
    return read_cap(&reader, key, config.find(key) == nullptr ? fallback : 0);
  };
  for (LayerConfig& layer : spec.config.layers) layer.attention.softcap = cap("attn_logit_softcapping", 50);
  spec.config.logit_softcap = cap("final_logit_softcapping", 30);
  if (!reader.status().ok()) return reader.status();
  return spec;
}

Result<ModelSpec> read_gemma3_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_gemma_fields(&reader);
  ModelConfig& c = spec.config;
  const int64_t window = reader.integer("sliding_window", 4096, 1, INT32_MAX);
  const auto pattern = static_cast<std::size_t>(reader.integer("sliding_window_pattern", 6, 1, 1 << 20));
  const std::vector<bool> is_local =
      read_windows(&reader, &c, window, [&](std::size_t layer) { return (layer + 1) % pattern != 0; });
  const Value* parameters = reader.object("rope_parameters");
  const Value* full = parameters == nullptr ? nullptr : parameters->find("full_attention");
  if (full != nullptr) {
    c.ropes = {read_rope_object(&reader, full, "rope_parameters.full_attention", c),
               read_rope_object(&reader, parameters->find("sliding_attention"),
                                "rope_parameters.sliding_attention", c)};
  } else {
    c.ropes = {read_rope_object(&reader, reader.object("rope_scaling"), "rope_scaling", c, 1e6),
               read_rope_object(&reader, nullptr, "", c)};
    c.ropes[1].theta = reader.number("rope_local_base_freq", 10000, 1, 1e12);
  }
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
