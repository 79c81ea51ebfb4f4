#include "decoder/activations.h"

#include <algorithm>

namespace pagoda {
namespace {

// The widest of all layers.
struct Widths {
  int64_t qkv = 0, attended = 0, intermediate = 0;  // attended: at least hidden, for the rows of the head
  int64_t experts = 0, experts_per_token = 0;
  bool has_sublayer = false;
};

Widths widths_of(const ModelConfig& config) {
  Widths widest{.attended = config.hidden_size};
  for (const LayerConfig& layer : config.layers) {
    widest.qkv = std::max<int64_t>(widest.qkv, layer.attention.qkv_size());
    widest.attended = std::max<int64_t>(widest.attended, layer.attention.q_size());
    widest.intermediate = std::max(widest.intermediate, layer.mlp.intermediate_size);
    widest.experts = std::max<int64_t>(widest.experts, layer.mlp.num_experts);
    widest.experts_per_token = std::max<int64_t>(widest.experts_per_token, layer.mlp.experts_per_token);
    widest.has_sublayer |= layer.norms.placement != NormPlacement::kPre || config.residual_scale != 1;
  }
  return widest;
}

// Of the buffers, in bytes.
struct Sizes {
  std::size_t residual, qkv, attended, input, activated, down_input;
  std::size_t router_logits = 0, expert_input = 0, expert_output = 0, routing = 0, sublayer = 0;
  std::size_t total() const {
    return residual + qkv + attended + input + activated + down_input + router_logits + expert_input +
           expert_output + routing + sublayer;
  }
};

Sizes sizes_of(const ModelConfig& config, int64_t max_tokens, int32_t input_parts, const OpTable& ops) {
  const Widths widest = widths_of(config);
  const auto floats = [&](int64_t columns) {
    return static_cast<std::size_t>(max_tokens * columns) * sizeof(float);
  };
  const auto inputs = [&](int64_t columns) {
    return static_cast<std::size_t>(input_parts) * max_input_bytes(columns, max_tokens, ops);
  };
  Sizes sizes{.residual = floats(config.hidden_size),
              .qkv = floats(widest.qkv),
              .attended = floats(widest.attended),
              .input = inputs(widest.attended),
              .activated = floats(widest.intermediate),
              .down_input = inputs(widest.intermediate)};
  if (widest.experts > 0) {
    sizes.router_logits = floats(widest.experts);
    sizes.expert_input = inputs(config.hidden_size);
    sizes.expert_output = floats(config.hidden_size);
    sizes.routing = ExpertRouting::bytes(max_tokens * widest.experts_per_token);
  }
  if (widest.has_sublayer) sizes.sublayer = floats(config.hidden_size);
  return sizes;
}

}  // namespace

Activations::Activations(const ModelConfig& config, int32_t max_tokens, int32_t input_parts,
                         ComputeStream& stream)
    : max_tokens_(max_tokens) {
  const Sizes sizes = sizes_of(config, max_tokens, input_parts, stream.ops());
  const Widths widest = widths_of(config);
  const auto room = [&](std::size_t bytes) { return DeviceBuffer(stream.memory(), bytes); };
  residual_ = room(sizes.residual);
  attention_ = {room(sizes.qkv), room(sizes.attended), room(sizes.input)};
  mlp_ = {
      .activated = room(sizes.activated),
      .down_input = room(sizes.down_input),
      .router_logits = room(sizes.router_logits),
      .expert_input = room(sizes.expert_input),
      .expert_output = room(sizes.expert_output),
      .routing = ExpertRouting(static_cast<int32_t>(widest.experts), max_tokens * widest.experts_per_token)};
  sublayer_ = room(sizes.sublayer);
}

uint64_t Activations::bytes(const ModelConfig& config, int32_t max_tokens, int32_t input_parts,
                            const OpTable& ops) {
  return sizes_of(config, max_tokens, input_parts, ops).total();
}

}  // namespace pagoda
