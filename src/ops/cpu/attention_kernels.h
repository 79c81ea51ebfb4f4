// Attention's tasks and kernels, and the layout of the cache; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

inline constexpr int64_t kKeyTile = 64;     // keys per step of the online softmax, at absolute multiples
inline constexpr int64_t kPartition = 512;  // keys per partial softmax, at absolute multiples
inline constexpr int64_t kMaxHeadDim = 1024;
inline constexpr int64_t kTilePanelCount = kKeyTile / kLanes;

enum class KvFormat : uint8_t { kF32, kF16, kBF16, kInt8, kFp8 };

// A block is a row of panels of 16 tokens. A panel holds, for one KV head after the other, K, then V, then
// scales: reading all heads of a sequence streams memory. Cells of 1, 2 or 4 elements are what a dot product
// reads as one 32-bit word (`padded`: head_dim rounded up to 16; what pads is 0):
//   f32, f16   K [head_dim][16 tokens]          V [16 tokens][padded]
//   bf16       K [head_dim / 2][16 tokens][2]   V [8 token pairs][padded][2]
//   int8       K [head_dim / 4][16 tokens][4]   V [4 token quads][padded][4]
//              K as unsigned bytes, 128 more than the number; then float scales of K [16] and V [16]
//   fp8        as int8, in e4m3; a cell's dims (of V: tokens) in the order 0, 2, 1, 3, so that its even and
//              its odd bytes are the two pairs that bfloat16 has
struct KvPanels {
  int64_t v_offset, scale_offset, head_bytes, panel_bytes, block_bytes;
};
// One byte per number, and a scale per token and head.
constexpr bool has_scales(KvFormat format) {
  return format == KvFormat::kInt8 || format == KvFormat::kFp8;
}
// Dims of a K cell, which are also tokens of a V cell.
constexpr int64_t kv_cell(KvFormat format) {
  return has_scales(format) ? 4 : format == KvFormat::kBF16 ? 2 : 1;
}
// Of a token of a V cell: which of its elements it is.
constexpr int64_t kv_place(KvFormat format, int64_t token) {
  const int64_t place = token % kv_cell(format);
  return format == KvFormat::kFp8 && (place == 1 || place == 2) ? 3 - place : place;
}
constexpr int64_t round_up_to(int64_t count, int64_t unit) {
  return (count + unit - 1) / unit * unit;
}
constexpr KvPanels kv_panels(KvFormat format, int64_t num_kv_heads, int64_t k_dim, int64_t v_dim,
                             int64_t block_size) {
  const int64_t element = format == KvFormat::kF32 ? 4 : has_scales(format) ? 1 : 2;
  KvPanels layout{};
  layout.v_offset = round_up_to(round_up_to(k_dim, kv_cell(format)) * kLanes * element, 64);
  layout.scale_offset = layout.v_offset + round_up_lanes(v_dim) * kLanes * element;
  layout.head_bytes = layout.scale_offset + (has_scales(format) ? 2 * kLanes * 4 : 0);
  layout.panel_bytes = layout.head_bytes * num_kv_heads;
  layout.block_bytes = layout.panel_bytes * (round_up_lanes(block_size) / kLanes);
  return layout;
}

// Some consecutive queries of one sequence and some KV heads, with the query heads that share each. A "row"
// is one (query, query head of the KV head's group), in this order.
struct AttnTask {
  KvFormat format;
  int32_t head_dim, block_size, group, num_queries, num_heads;  // group: query heads per KV head
  int32_t first_position, window;                               // position of the first query; window 0: all
  float scale, softcap;
  int32_t row_chunk;  // at most kMaxRowChunk
  bool prefetch_next;
  const float* q;  // first query, first head of the first group
  int64_t q_stride;
  const char* cache;     // block 0, the first of the task's KV heads
  int64_t block_stride;  // bytes
  KvPanels layout;
  const int32_t* block_table;
  float* out;
  int64_t out_stride;
  char* scratch;  // attn_scratch_bytes()
};
constexpr int64_t attn_state_stride(int64_t head_dim) {
  return round_up_lanes(head_dim) + 2 * kLanes;
}
// Memory of one row of queries as the kernels read it: float32, or two bytes per element and constants.
constexpr int64_t attn_query_bytes(int64_t head_dim) {
  return round_up_to(head_dim, 64) * 4 + 64;
}
inline constexpr int64_t kMaxRowChunk = 24;  // rows that pass through scores, softmax and values together
// For `rows` rows, all KV heads of a task counted, and at most num_heads KV heads.
constexpr std::size_t attn_scratch_bytes(int64_t rows, int64_t num_heads, int64_t head_dim,
                                         const KvPanels& layout) {
  const int64_t chunk =
      kMaxRowChunk * (2 * kKeyTile * 4 + 128 + 2 * kLanes * 4 + round_up_lanes(head_dim) * 8);
  const int64_t panels = kTilePanelCount * (layout.head_bytes * num_heads + 2 * layout.scale_offset);
  return static_cast<std::size_t>(rows * attn_query_bytes(head_dim) + chunk + panels + 1024);
}

struct KvStoreTask {
  KvFormat format;
  int32_t num_kv_heads, head_dim, block_size;
  char* cache;
  int64_t block_stride;  // bytes
  KvPanels layout;
  const float* key;  // one token's row each
  const float* value;
  int64_t slot;
};

struct AttentionKernels {
  void (*kv_store)(const KvStoreTask& task);
  // Once before the task's partitions: its queries, as these read them, into its scratch.
  void (*prepare)(const AttnTask& task);
  // A state holds, per KV head and row: the weighted sum of V (not divided yet), the sum of weights, the
  // maximum score.
  void (*reset)(const AttnTask& task, float* state);
  // Overwrites `state` with what the rows see among the keys [part * kPartition, (part + 1) * kPartition).
  void (*partition)(const AttnTask& task, int64_t part, float* state);
  void (*merge)(const AttnTask& task, float* total, const float* state);  // ascending parts
  void (*finish)(const AttnTask& task, const float* total);
};

}  // namespace pagoda::cpu
