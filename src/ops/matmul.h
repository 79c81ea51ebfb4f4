#pragma once
#include <memory>
#include <span>

#include "base/status.h"
#include "ops/stream.h"
#include "tensor/tensor.h"

namespace pagoda {

// A weight matrix in the kernels' own layout. Opaque; made once at load.
class PackedWeight {
 public:
  virtual ~PackedWeight() = default;
  int64_t n() const { return n_; }  // out features
  int64_t k() const { return k_; }  // in features
  virtual std::size_t bytes() const = 0;

 protected:
  PackedWeight(int64_t n, int64_t k) : n_(n), k_(k) {}
  int64_t n_, k_;
};

// Packs the rows of several weights, one under the other ([sum of rows, k]: fused q/k/v or gate/up), so that
// one product serves them. All share columns and dtype. dtypes: F32, BF16, F16, kept as they are. Errors:
// kInvalidArgument on a mismatch.
Result<std::unique_ptr<PackedWeight>> pack_weight(std::span<const QuantTensor> parts, Stream& stream);

// y[num_tokens, n] (+)= x[num_tokens, k] * W^T, all of y and x float32; with `accumulate`, y[t] += product
// (one rounding more, after the whole sum). bias: [n] or null, added to the product. PROMISE: product(t, j) =
// fma chain over ascending k, from 0, in float32, weights widened exactly to float32. The same bits for every
// instruction set, tile, thread count and num_tokens.
void matmul(const Tensor& y, const Tensor& x, const PackedWeight& w, const float* bias, bool accumulate,
            Stream& stream);

}  // namespace pagoda
