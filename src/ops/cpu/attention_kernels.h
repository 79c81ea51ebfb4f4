// Attention's tasks and kernels; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

inline constexpr int64_t kKeyTile = 64;     // keys per step of the online softmax, at absolute multiples
inline constexpr int64_t kPartition = 512;  // keys per partial softmax, at absolute multiples
inline constexpr int64_t kMaxHeadDim = 1024;

// Some consecutive queries of one sequence, and the query heads that share one KV head. A "row" is one
// (query, head).
struct AttnTask {
  Elem elem;
  int32_t head_dim, block_size, group, num_queries;  // group: query heads per KV head
  int32_t first_position, window;                    // position of the first query; window 0: all
  float scale, softcap;
  const float* q;  // first query, first head of the group
  int64_t q_stride;
  const void* k;         // block 0, this KV head: [panel of 16 tokens][head_dim][16]
  const void* v;         // block 0, this KV head: [token][head_dim rounded up to 16]
  int64_t block_stride;  // elements
  const int32_t* block_table;
  float* out;
  int64_t out_stride;
  void* scratch;  // attn_scratch_bytes()
};
constexpr int64_t attn_state_stride(int64_t head_dim) {
  return round_up_lanes(head_dim) + 2 * kLanes;
}
constexpr std::size_t attn_scratch_bytes(int64_t rows, int64_t head_dim) {
  return static_cast<std::size_t>(rows * (round_up_lanes(head_dim) + kKeyTile) + kKeyTile * head_dim) * 4;
}

struct KvStoreTask {
  Elem elem;
  int32_t num_kv_heads, head_dim, block_size;
  void* k;
  void* v;
  int64_t block_stride, head_stride;  // elements
  const float* key;                   // one token's row each
  const float* value;
  int64_t slot;
};

struct AttentionKernels {
  void (*kv_store)(const KvStoreTask& task);
  // A state holds, per row: the weighted sum of V (not divided yet), the sum of weights, the maximum score.
  void (*reset)(const AttnTask& task, float* state);
  // Overwrites `state` with what the rows see among the keys [part * kPartition, (part + 1) * kPartition).
  void (*partition)(const AttnTask& task, int64_t part, float* state);
  void (*merge)(const AttnTask& task, float* total, const float* state);  // ascending parts
  void (*finish)(const AttnTask& task, const float* total);
};

}  // namespace pagoda::cpu
