// Granite 3 (IBM, 2024): Llama's decoder with a multiplier wherever numbers are added or compared (Yang et
// al., "Tensor Programs V", 2022).
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_granite_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader, {});
  read_rope(&reader, &spec.config);
  const auto multiplier = [&](const char* key) {
    return static_cast<float>(reader.number(key, 1, 1e-6, 1e6));
  };
  spec.config.embedding_scale = multiplier("embedding_multiplier");
  spec.config.residual_scale = multiplier("residual_multiplier");
  spec.config.logit_scale = 1 / multiplier("logits_scaling");
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention.scale = multiplier("attention_multiplier");
    layer.attention.qkv_bias = layer.attention.o_bias = reader.boolean("attention_bias", false);
    layer.mlp.has_bias = reader.boolean("mlp_bias", false);
  }
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
