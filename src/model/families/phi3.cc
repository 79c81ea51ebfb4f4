// Phi-3, Phi-3.5 and Phi-4 (Abdin et al., 2024): Q, K and V are stored as one tensor, gate and up as another;
// the long variants stretch their rotary positions by LongRoPE, the mini ones of Phi-4 rotate a part of a
// head.
#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_phi3_spec(const Value& config) {
  ConfigReader reader(config);
  ModelSpec spec = read_common_fields(&reader);
  read_rope(&reader, &spec.config);
  const int64_t window = reader.integer("sliding_window", 0, 1, INT32_MAX);
  read_windows(&reader, &spec.config, window, [](std::size_t) { return true; });
  const std::string layer = "model.layers.{layer}.";
  for (TensorRole role : {TensorRole::kQuery, TensorRole::kKey, TensorRole::kValue})
    spec.names[role] = layer + "self_attn.qkv_proj";
  for (TensorRole role : {TensorRole::kGate, TensorRole::kUp}) spec.names[role] = layer + "mlp.gate_up_proj";
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
