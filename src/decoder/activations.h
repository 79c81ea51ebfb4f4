#pragma once
#include <cstdint>

#include "layers/attention.h"
#include "layers/mlp.h"
#include "model/config.h"

namespace pagoda {

// Room for the activations of a step, [max_tokens, ...] each as wide as the widest layer: float32, or what a
// product reads. One per stream.
class Activations {
 public:
  // input_parts: Decoder::max_input_parts(), 1 where a model's matrices are all packed alike.
  // Throws std::bad_alloc.
  Activations(const ModelConfig& config, int32_t max_tokens, int32_t input_parts, ComputeStream& stream);
  // On the backend with these ops.
  static uint64_t bytes(const ModelConfig& config, int32_t max_tokens, int32_t input_parts,
                        const OpTable& ops);
  int32_t max_tokens() const { return max_tokens_; }

 private:
  friend class Decoder;
  int32_t max_tokens_;
  DeviceBuffer residual_;
  AttentionScratch attention_;  // `input` also holds what MLP and head read, `attended` the head's rows
  MlpScratch mlp_;
  DeviceBuffer sublayer_;  // what attention or MLP gives, where it is normed or scaled before it is added
};

}  // namespace pagoda
