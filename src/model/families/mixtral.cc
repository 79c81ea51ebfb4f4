// Mixtral (Jiang et al., 2024): Mistral's attention, and a mixture of experts in place of the MLP.
#include <fmt/format.h>

#include "model/families/common.h"

namespace pagoda {

Result<ModelSpec> read_mixtral_spec(const Value& config) {
  constexpr int64_t kExpertsMax = 1024, kAllExpertsMax = 1 << 16;  // of a layer, of all
  ConfigReader reader(config);
  ModelSpec spec =
      read_common_fields(&reader, {.rms_norm_eps = 1e-5, .num_kv_heads = 8, .context_length = 131072});
  read_rope(&reader, &spec.config, {.theta = 1e6});
  read_windows(&reader, &spec.config, 0, [](std::size_t) { return true; });
  const int64_t num_experts = reader.integer("num_local_experts", 8, 1, kExpertsMax);
  const auto num_layers = static_cast<int64_t>(spec.config.layers.size());
  if (num_experts * num_layers > kAllExpertsMax)
    reader.fail(fmt::format("`num_local_experts`: {} experts in each of {} layers are more than {}",
                            num_experts, num_layers, kAllExpertsMax));
  const int64_t per_token = reader.integer("num_experts_per_tok", 2, 1, num_experts);
  for (LayerConfig& layer : spec.config.layers) {
    layer.mlp.num_experts = static_cast<int32_t>(num_experts);
    layer.mlp.experts_per_token = static_cast<int32_t>(per_token);
    layer.mlp.normalize_expert_weights = true;
  }
  const std::string moe = "model.layers.{layer}.block_sparse_moe.";
  spec.names = {{TensorRole::kRouter, moe + "gate"},
                {TensorRole::kGate, moe + "experts.{expert}.w1"},
                {TensorRole::kDown, moe + "experts.{expert}.w2"},
                {TensorRole::kUp, moe + "experts.{expert}.w3"}};
  if (!reader.status().ok()) return reader.status();
  return spec;
}

}  // namespace pagoda
