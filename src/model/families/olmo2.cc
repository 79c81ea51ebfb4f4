// OLMo 2 (Walsh et al., 2025): Llama's decoder with norms behind attention and MLP in place of those before
// them, and of all heads of Q and of K together.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_olmo2_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader, {.rms_norm_eps = 1e-5});
  read_rope(&reader, &spec.config);
  const bool has_bias = reader.boolean("attention_bias", false);
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention.qkv_bias = layer.attention.o_bias = has_bias;
    layer.attention.qk_norm = QkNorm::kRow;
    layer.norms.placement = NormPlacement::kPost;
  }
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
