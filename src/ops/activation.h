#pragma once
#include "ops/stream.h"
#include "tensor/tensor.h"

namespace pagoda {

// y[t, i] = silu(x[t, i]) * x[t, i + k], silu(v) = v / (1 + exp(-v)). x: [num_tokens, 2k], y: [num_tokens,
// k], float32. exp is one polynomial for all instruction sets, tails included (ops/cpu/exp.h).
void silu_mul(const Tensor& y, const Tensor& x, Stream& stream);

}  // namespace pagoda
