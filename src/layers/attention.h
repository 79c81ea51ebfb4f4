#pragma once
#include <cstdint>

#include "layers/norm.h"
#include "ops/attention.h"
#include "ops/rope.h"

namespace pagoda {

// Room for what an attention layer makes on its way. Layers share it, so it is sized by the largest.
struct AttentionScratch {
  DeviceBuffer qkv, attended;  // [num_tokens, qkv_size], [num_tokens, q_size] float32
  DeviceBuffer input;          // out().input_bytes(num_tokens); x may lie there, too
};

// What an attention layer is given in a step, beside its rows.
struct AttentionStep {
  DeviceSpan<const int32_t> positions;  // [num_tokens]
  const RopeTable& rope;
  const KvLayerView& kv;
  const AttnBatch& batch;  // of the layer's KV group
  AttentionScratch& scratch;
};

// Grouped-query attention (Ainslie et al., 2023) over the paged cache, with rotary positions; Q and K may be
// normed before they are rotated (Dehghani et al., 2023).
class Attention {
 public:
  static Result<Attention> load(const WeightSource& source, const AttentionConfig& config,
                                const NormConfig& norms);

  // y = attention(x), or y += attention(x), by `epilogue`. x: input() rows; y: [num_tokens, hidden] float32.
  // This step's K and V go to `step.kv` first; all queries then read the cache only.
  void forward(const Tensor& y, const LinearInput& x, Epilogue epilogue, const AttentionStep& step,
               ComputeStream& stream) const;
  const Linear& input() const { return qkv_; }
  const Linear& out() const { return o_; }

 private:
  AttentionConfig config_;
  Linear qkv_, o_;
  RmsNorm q_norm_, k_norm_;  // of no weights: none
};

}  // namespace pagoda
