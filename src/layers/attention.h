#pragma once
#include <cstdint>
#include <string>

#include "layers/linear.h"
#include "ops/attention.h"
#include "ops/rope.h"

namespace pagoda {

struct AttentionShape {
  int32_t num_heads = 0, num_kv_heads = 0, head_dim = 0;
  int32_t q_size() const { return num_heads * head_dim; }
  int32_t kv_size() const { return num_kv_heads * head_dim; }
  int32_t qkv_size() const { return q_size() + 2 * kv_size(); }
  bool operator==(const AttentionShape&) const = default;
};
struct AttentionNames {
  std::string q, k, v, o;  // without `.weight`
};

// Grouped-query attention (Ainslie et al., 2023) over the paged cache, with rotary positions.
class Attention {
 public:
  static Result<Attention> load(const WeightSource& source, const AttentionNames& names,
                                const AttentionShape& shape, bool qkv_bias, bool o_bias);

  // residual += attention(x). x: input() rows; residual: [num_tokens, hidden]; qkv: room for [num_tokens,
  // qkv_size]; attended: for [num_tokens, q_size]; out_room: out().input_bytes(num_tokens). This step's K and
  // V go to `kv` first; all queries then read the cache only.
  void forward(const Tensor& residual, const MatmulInput& x, const int32_t* positions,
               const RopeTable& rope_table, const KvLayerView& kv, const AttnBatch& batch, const Tensor& qkv,
               const Tensor& attended, Buffer* out_room, ComputeStream& stream) const;
  const Linear& input() const { return qkv_; }
  const Linear& out() const { return o_; }
  std::size_t bytes() const { return qkv_.bytes() + o_.bytes(); }

 private:
  AttentionShape shape_;
  Linear qkv_, o_;
};

}  // namespace pagoda
