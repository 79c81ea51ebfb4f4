#include "layers/attention.h"

namespace pagoda {
namespace {

// Columns [begin, begin + count) of a wider matrix.
Tensor columns_of(const Tensor& matrix, int64_t begin, int64_t count) {
  Tensor view = matrix;
  view.data = matrix.row<float>(0) + begin;
  view.shape[1] = count;
  return view;
}

}  // namespace

Result<Attention> Attention::load(const WeightSource& source, const AttentionNames& names,
                                  const AttentionShape& shape, bool qkv_bias, bool o_bias) {
  Attention attention;
  attention.shape_ = shape;
  const std::string qkv[] = {names.q, names.k, names.v};
  PAGODA_TRY(attention.qkv_, Linear::load(source, qkv, qkv_bias));
  PAGODA_TRY(attention.o_, Linear::load(source, {&names.o, 1}, o_bias));
  return attention;
}

void Attention::forward(const Tensor& residual, const MatmulInput& x, const int32_t* positions,
                        const RopeTable& rope_table, const KvLayerView& kv, const AttnBatch& batch,
                        const Tensor& qkv, const Tensor& attended, Buffer* out_room,
                        ComputeStream& stream) const {
  const Tensor q = columns_of(qkv, 0, shape_.q_size());
  const Tensor k = columns_of(qkv, shape_.q_size(), shape_.kv_size());
  const Tensor v = columns_of(qkv, shape_.q_size() + shape_.kv_size(), shape_.kv_size());
  qkv_.forward(qkv, x, stream);
  // Q and K lie side by side: one call turns the heads of both.
  rope(qkv, positions, shape_.num_heads + shape_.num_kv_heads, shape_.head_dim, rope_table, stream);
  kv_store(kv, k, v, batch, stream);
  const MatmulInput out = o_.input(out_room, x.rows);
  paged_attention(attended, q, kv, batch, shape_.num_heads, stream);
  convert_input(out, attended, stream);
  o_.forward_add(residual, out, stream);
}

}  // namespace pagoda
