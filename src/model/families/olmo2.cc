// OLMo 2 (Walsh et al., 2025): Llama's decoder with norms behind attention and MLP in place of those before
// them, and of all heads of Q and of K together.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_olmo2_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader);
  read_rope(&reader, &spec.config);
  const bool has_bias = reader.boolean("attention_bias", false);
  const auto eps = static_cast<float>(reader.number("rms_norm_eps", 1e-5, 0, 1));
  spec.config.final_norm.eps = eps;
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention.qkv_bias = layer.attention.o_bias = has_bias;
    layer.attention.qk_norm = QkNorm::kRow;
    layer.norms.placement = NormPlacement::kPost;
    layer.norms.eps = eps;
  }
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
