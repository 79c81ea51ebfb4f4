#include "decoder/activations.h"

#include <algorithm>

namespace pagoda {
namespace {

// Of the buffers, in bytes.
struct Sizes {
  std::size_t residual, qkv, attended, input, activated, down_input;
  std::size_t total() const { return residual + qkv + attended + input + activated + down_input; }
};

Sizes sizes_of(const ModelConfig& config, int64_t max_tokens) {
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
  return {.residual = floats(hidden),
          .qkv = floats(qkv),
          .attended = floats(attended),
          .input = input_bytes_most(attended, max_tokens),
          .activated = floats(intermediate),
          .down_input = input_bytes_most(intermediate, max_tokens)};
}

}  // namespace

Activations::Activations(const ModelConfig& config, int32_t max_tokens) : max_tokens_(max_tokens) {
  const Sizes sizes = sizes_of(config, max_tokens);
  residual_ = Buffer(sizes.residual);
  attention_ = {Buffer(sizes.qkv), Buffer(sizes.attended), Buffer(sizes.input)};
  mlp_ = {Buffer(sizes.activated), Buffer(sizes.down_input)};
}

uint64_t Activations::bytes(const ModelConfig& config, int32_t max_tokens) {
  return sizes_of(config, max_tokens).total();
}

}  // namespace pagoda
