// Phi-3, Phi-3.5 and Phi-4 (Abdin et al., 2024): Q, K and V are stored as one tensor, gate and up as another;
// the long variants stretch their rotary positions by LongRoPE, the mini ones of Phi-4 rotate a part of a
// head.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_phi3_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader, {.rms_norm_eps = 1e-5, .context_length = 4096});
  read_rope(&reader, &spec.config, {.original_context = 4096});
  read_windows(&reader, &spec.config, 0, [](std::size_t) { return true; });
  const std::string layer = "model.layers.{layer}.";
  for (TensorRole role : {TensorRole::kQuery, TensorRole::kKey, TensorRole::kValue})
    spec.names[role] = layer + "self_attn.qkv_proj";
  for (TensorRole role : {TensorRole::kGate, TensorRole::kUp}) spec.names[role] = layer + "mlp.gate_up_proj";
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
