#include "decoder/activations.h"

#include <algorithm>

namespace pagoda {
namespace {

// Of the buffers, in bytes.
struct Sizes {
  std::size_t residual, qkv, attended, input, activated, down_input;
  std::size_t total() const { return residual + qkv + attended + input + activated + down_input; }
};

Sizes sizes_of(const ModelConfig& config, int64_t max_tokens, int32_t input_parts) {
  const int64_t hidden = config.hidden_size;
  int64_t qkv = 0, attended = hidden, intermediate = 0;
  for (const LayerConfig& layer : config.layers) {
    qkv = std::max<int64_t>(qkv, layer.attention.qkv_size());
    attended = std::max<int64_t>(attended, layer.attention.q_size());
    intermediate = std::max(intermediate, layer.mlp.intermediate_size);
  }
  const auto floats = [&](int64_t columns) {
    return static_cast<std::size_t>(max_tokens * columns) * sizeof(float);
  };
  const auto inputs = [&](int64_t columns) {
    return static_cast<std::size_t>(input_parts) * input_bytes_most(columns, max_tokens);
  };
  return {.residual = floats(hidden),
          .qkv = floats(qkv),
          .attended = floats(attended),
          .input = inputs(attended),
          .activated = floats(intermediate),
          .down_input = inputs(intermediate)};
}

}  // namespace

Activations::Activations(const ModelConfig& config, int32_t max_tokens, int32_t input_parts)
    : max_tokens_(max_tokens) {
  const Sizes sizes = sizes_of(config, max_tokens, input_parts);
  residual_ = Buffer(sizes.residual);
  attention_ = {Buffer(sizes.qkv), Buffer(sizes.attended), Buffer(sizes.input)};
  mlp_ = {Buffer(sizes.activated), Buffer(sizes.down_input)};
}

uint64_t Activations::bytes(const ModelConfig& config, int32_t max_tokens, int32_t input_parts) {
  return sizes_of(config, max_tokens, input_parts).total();
}

}  // namespace pagoda
