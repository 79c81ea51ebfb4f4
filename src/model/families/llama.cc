// Llama 1 to 3.3 and what is built alike (Touvron et al., 2023; Grattafiori et al., 2024): pre-norm RMSNorm,
// rotary positions, grouped-query attention, SwiGLU.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_llama_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader, {});
  read_rope(&reader, &spec.config);
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention.qkv_bias = layer.attention.o_bias = reader.boolean("attention_bias", false);
    layer.mlp.has_bias = reader.boolean("mlp_bias", false);
  }
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
