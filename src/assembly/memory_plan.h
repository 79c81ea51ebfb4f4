#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "contract/kv_group.h"
#include "layers/weight_formats.h"
#include "model/config.h"

namespace pagoda {

struct MemoryRequest {
  uint64_t usable_bytes = 0;        // what the process may use in all
  double utilization = 1;           // how much of that is for weights, activations and cache
  uint64_t kv_cache_bytes = 0;      // > 0: exactly this much cache, whatever the rest
  int32_t num_blocks_override = 0;  // > 0: exactly as many blocks, before everything else
  uint64_t weight_bytes = 0, activation_bytes = 0;
  uint64_t position_bytes = 0;  // besides, of every position of max_model_len
  int32_t max_model_len = 0, max_num_seqs = 0, max_num_batched_tokens = 0;
  bool keeps_unused = false;        // unreferenced blocks are of use: a prefix cache
  std::vector<KvGroupSpec> groups;  // all of one block_bytes
};
struct MemoryPlan {
  int32_t num_blocks = 0;  // including the null block
  uint64_t block_bytes = 0, kv_bytes = 0;
  // Requests of max_model_len tokens that fit at once, of which one at a time is computed in the largest
  // steps, and their tokens.
  double max_concurrency = 0;
  int64_t num_tokens = 0;
};

// How many blocks fit. When memory is what limits them, no more than max_num_seqs requests of full length can
// use, unless others are of use too. Error kInvalidArgument if not even one request of max_model_len fits:
// how much it needs, how much there is, the greatest --max-model-len that would fit and the flags that help.
Result<MemoryPlan> plan_memory(const MemoryRequest& request);

// Before anything is loaded: bytes of the weights in these formats, and of what the runner needs beside
// weights and cache, on the backend with these ops. checkpoint: null for dummy weights. input_parts: as for
// Activations.
uint64_t estimate_weight_bytes(const ModelSpec& spec, const WeightFormats& formats,
                               const Checkpoint* checkpoint, const OpTable& ops);
uint64_t estimate_activation_bytes(const ModelConfig& config, int32_t max_num_batched_tokens,
                                   int32_t input_parts, const OpTable& ops);
uint64_t estimate_position_bytes(const ModelConfig& config, std::span<const KvGroupSpec> groups,
                                 int32_t max_num_seqs);

}  // namespace pagoda
