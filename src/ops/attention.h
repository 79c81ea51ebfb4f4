#pragma once
#include <cstdint>

#include "ops/stream.h"
#include "tensor/tensor.h"

namespace pagoda {

// One step's batch as attention sees it. Host arrays, valid for one step.
struct AttnBatch {
  const int32_t* query_start_loc = nullptr;  // [num_seqs + 1] prefix sums of scheduled tokens
  const int32_t* seq_lens = nullptr;     // [num_seqs] tokens visible after this step (computed + scheduled)
  const int32_t* block_table = nullptr;  // [num_seqs, max_blocks] block ids
  const int64_t* slot_mapping =
      nullptr;  // [num_tokens] block * block_size + offset: where K/V of each token goes
  int32_t num_seqs = 0, num_tokens = 0, max_blocks = 0, block_size = 16;
  int32_t window = 0;  // 0: all; otherwise position p sees positions > p - window
  float scale = 1, softcap = 0;
};

// One layer's cache: num_blocks blocks of block_size tokens. The layout inside of a block is this backend's
// own.
struct KvLayerView {
  void* k = nullptr;
  void* v = nullptr;
  DType dtype = DType::kF32;  // F32, BF16, F16: K and V are rounded to it when stored
  int32_t num_kv_heads = 0, head_dim = 0, block_size = 16;
};
// Bytes of K (and as many of V) for one block of one layer.
std::size_t kv_block_bytes(DType dtype, int32_t num_kv_heads, int32_t head_dim, int32_t block_size);

// Writes this step's K and V to their slots. k, v: [num_tokens, num_kv_heads * head_dim] float32. All rows
// are stored before any row attends.
void kv_store(const KvLayerView& kv, const Tensor& k, const Tensor& v, const AttnBatch& batch,
              Stream& stream);

// Causal attention of this step's queries over the cache, their own tokens included. q, out: [num_tokens,
// num_heads * head_dim] float32; query head h reads KV head h / (num_heads / num_kv_heads). q and out may not
// overlap. Requires: num_heads a multiple of num_kv_heads, head_dim <= 1024 (checked where a model's config
// is read). PROMISE: out[t] depends on q[t] and the cached K/V at positions 0..pos(t) (within the window)
// alone: it reads only the cache; tiles of 64 keys and partitions of 512 begin at absolute multiples;
// partials combine in ascending order, also when there is one. The same bits for every batch, chunking, block
// table, block size, number of threads and instruction set.
void paged_attention(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch,
                     int32_t num_heads, Stream& stream);

// Copies one block's K and V within a layer (copy-on-write at a fork).
void kv_copy_block(const KvLayerView& kv, int32_t src_block, int32_t dst_block);

}  // namespace pagoda
