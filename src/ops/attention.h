#pragma once
#include <cstdint>

#include "ops/compute_stream.h"

namespace pagoda {

// One step's batch as attention sees it. Valid for one step.
struct AttnBatch {
  DeviceSpan<const int32_t> query_start_loc;  // [num_seqs + 1] prefix sums of scheduled tokens
  DeviceSpan<const int32_t> seq_lens;     // [num_seqs] tokens visible after this step (computed + scheduled)
  DeviceSpan<const int32_t> block_table;  // [rows, max_blocks] block ids
  DeviceSpan<const int32_t> table_rows;   // [num_seqs] each sequence's row of it; empty: sequence i has row i
  // [num_tokens] block * block_size + offset: where K/V of each token goes; negative: nowhere
  DeviceSpan<const int64_t> slot_mapping;
  int32_t num_seqs = 0, num_tokens = 0, max_blocks = 0, block_size = 16;
  int32_t window = 0;  // 0: all; otherwise position p sees positions > p - window
  float scale = 1, softcap = 0;
};

// What one layer keeps in a block of block_size tokens: K and V of all heads together. Their order inside of
// a block, and so its size, is the backend's own.
struct KvLayout {
  DType dtype = DType::kF32;  // F32, F16, BF16: K and V are rounded to it when stored; I8, F8E4M3: below
  int32_t num_kv_heads = 0;
  int32_t k_dim = 0, v_dim = 0;  // of a head; the ops below take equal ones
  int32_t block_size = 16;
  bool operator==(const KvLayout&) const = default;
};
// Of one block of one layer, on the backend with these ops: K, V and their scales.
std::size_t kv_block_bytes(const KvLayout& layout, const OpTable& ops);
// One layer's cache: block b is kv_block_bytes() from data + b * block_stride on. What lies between two of
// its blocks belongs to other layers.
struct KvLayerView {
  void* data = nullptr;
  std::size_t block_stride = 0;  // bytes
  KvLayout layout;
};

// Writes this step's K and V to their slots. k, v: [num_tokens, num_kv_heads * head_dim] float32. All rows
// are stored before any row attends.
// Rounding: F32 none, F16 to nearest even. BF16 to nearest even, magnitudes below 2^-50 become 0. I8: per
// token and head, for K and V each, a float32 scale = (greatest magnitude) / 127 and whole numbers x / scale
// to nearest even. F8E4M3: the same with a scale of (greatest magnitude) / 448 and e4m3 codes of x / scale to
// nearest even. Of both: a row without a magnitude of 1e-30 is 0; a token that is not finite has a score of
// NaN.
void kv_store(const KvLayerView& kv, const Tensor& k, const Tensor& v, const AttnBatch& batch,
              ComputeStream& stream);

// Causal attention of this step's queries over the cache, their own tokens included. q, out: [num_tokens,
// num_heads * head_dim] float32; query head h reads KV head h / (num_heads / num_kv_heads). q and out may not
// overlap. Requires: num_heads a multiple of num_kv_heads, head_dim <= 1024 (checked where a model's config
// is read). PROMISE: out[t] depends on q[t] and the cached K/V at positions 0..pos(t) (within the window)
// alone: it reads only the cache; tiles of 64 keys and partitions of 512 begin at absolute multiples;
// partials combine in ascending order, also when there is one. The same bits for every batch, chunking, block
// table, block size, number of threads and instruction set.
// Rounding, beside that of float32 sums:
//   F32, F16  none.
//   BF16      q to bfloat16 (below 2^-50: 0) before the products with K; each weight 2^(score - maximum) to
//             bfloat16 before the products with V and before they are summed to divide by; below 2^-60: 0.
//   I8        q to 16-bit fixed point relative to its greatest element; each weight times its V's scale to
//             14-bit fixed point relative to the greatest of its tile of 64 keys. Sums of 64 are exact.
void paged_attention(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch,
                     int32_t num_heads, ComputeStream& stream);

}  // namespace pagoda
