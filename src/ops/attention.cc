#include "ops/attention.h"

#include "ops/check_shapes.h"
#include "ops/op_table.h"

namespace pagoda {
namespace {

void check_cache(const KvLayerView& kv, const AttnBatch& batch, const ComputeStream& stream) {
  PAGODA_CHECK(kv.layout.num_kv_heads > 0 && kv.layout.k_dim > 0, "a cache of some heads");
  check_size("KV cache: v_dim", kv.layout.v_dim, kv.layout.k_dim);
  check_size("KV cache: block_size", kv.layout.block_size, batch.block_size);
  check_size_min("KV cache: block_stride", static_cast<int64_t>(kv.block_stride),
                 static_cast<int64_t>(kv_block_bytes(kv.layout, stream.ops())));
}

}  // namespace

std::size_t kv_block_bytes(const KvLayout& layout, const OpTable& ops) {
  return ops.kv_block_bytes(layout);
}

void kv_store(const KvLayerView& kv, const Tensor& k, const Tensor& v, const AttnBatch& batch,
              ComputeStream& stream) {
  check_cache(kv, batch, stream);
  const int64_t columns = int64_t{kv.layout.num_kv_heads} * kv.layout.k_dim;
  check_matrix("kv_store: k", k, k.rows(), columns);
  check_matrix("kv_store: v", v, k.rows(), columns);
  check_size_min("kv_store: rows of k", k.rows(), batch.num_tokens);
  check_size_min("kv_store: slot_mapping", batch.slot_mapping.size, batch.num_tokens);
  const OpTimer timer(stream, OpKind::kRows);
  stream.ops().kv_store(kv, k, v, batch, stream);
}

void paged_attention(const Tensor& out, const Tensor& q, const KvLayerView& kv, const AttnBatch& batch,
                     int32_t num_heads, ComputeStream& stream) {
  if (batch.num_seqs == 0) return;
  check_cache(kv, batch, stream);
  PAGODA_CHECK(num_heads % kv.layout.num_kv_heads == 0, "heads must be a multiple of KV heads");
  check_matrix("paged_attention: q", q, q.rows(), int64_t{num_heads} * kv.layout.k_dim);
  check_matrix("paged_attention: out", out, q.rows(), int64_t{num_heads} * kv.layout.k_dim);
  check_size_min("paged_attention: rows of q", q.rows(), batch.num_tokens);
  check_size_min("paged_attention: query_start_loc", batch.query_start_loc.size, batch.num_seqs + 1);
  check_size_min("paged_attention: seq_lens", batch.seq_lens.size, batch.num_seqs);
  if (batch.table_rows.empty())
    check_size_min("paged_attention: block_table", batch.block_table.size,
                   int64_t{batch.num_seqs} * batch.max_blocks);
  else
    check_size_min("paged_attention: table_rows", batch.table_rows.size, batch.num_seqs);
  const OpTimer timer(stream, OpKind::kAttention);
  stream.ops().paged_attention(out, q, kv, batch, num_heads, stream);
}

}  // namespace pagoda
