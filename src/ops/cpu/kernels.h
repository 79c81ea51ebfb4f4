// The door between ops/*.cc (checks, splitting over threads) and the kernels, which are compiled once per
// instruction set and reached through one table each. Plain structs and pointers only: a kernel file is
// compiled for a CPU that may not be there, so any inline function with external linkage in it (std::
// included) could be the copy that the linker keeps for everybody. Hence: kernel files include this header,
// intrinsics and each other, and all they define is in an unnamed namespace but for the table.
#pragma once
#include <cstddef>
#include <cstdint>

namespace pagoda::cpu {

enum class Elem : uint8_t { kF32, kBF16, kF16 };

inline constexpr int64_t kLanes = 16;    // columns of a weight panel, keys of a K panel, lanes of every sum
inline constexpr int64_t kKeyTile = 64;  // keys per step of the online softmax, at absolute multiples
inline constexpr int64_t kPartition = 512;  // keys per partial softmax, at absolute multiples
inline constexpr int64_t kMaxRows = 512;    // rows of x per matmul call
inline constexpr int64_t kMaxGroup = 8;     // panels worked on together, at most
inline constexpr int64_t kMaxHeadDim = 1024;

constexpr int64_t round_up_lanes(int64_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

// y[m, n] of the panels [panel_begin, panel_end). Weights lie as [panel][k][16 columns], the last panel zero
// padded.
struct MatmulTask {
  Elem elem;
  bool accumulate;
  const float* x;
  int64_t x_stride, m;  // m <= kMaxRows
  const void* weights;
  int64_t n, k, panel_begin, panel_end;
  const float* bias;  // [n] or null
  float* y;
  int64_t y_stride;
  float* park;  // kMaxRows * kMaxGroup * kLanes floats of this worker: sums between two blocks of k
};

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

struct KernelTable {
  void (*matmul)(const MatmulTask& task);
  // out[i] = the element at src[i * stride], widened.
  void (*gather)(Elem elem, float* out, const void* src, int64_t stride, int64_t count);
  void (*rms_norm)(float* y, const float* x, const float* weight, float eps, int64_t count);
  void (*silu_mul)(float* y, const float* gate, const float* up, int64_t count);
  void (*rope)(float* head, const float* cos, const float* sin, int64_t half);
  void (*exp)(float* y, const float* x, int64_t count);
  void (*kv_store)(const KvStoreTask& task);
  // A state holds, per row: the weighted sum of V (not divided yet), the sum of weights, the maximum score.
  void (*attn_reset)(const AttnTask& task, float* state);
  // Overwrites `state` with what the rows see among the keys [part * kPartition, (part + 1) * kPartition).
  void (*attn_partition)(const AttnTask& task, int64_t part, float* state);
  void (*attn_merge)(const AttnTask& task, float* total, const float* state);  // ascending parts
  void (*attn_finish)(const AttnTask& task, const float* total);
};

extern const KernelTable kScalarKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
#endif

}  // namespace pagoda::cpu
