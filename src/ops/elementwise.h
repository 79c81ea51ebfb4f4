#pragma once
#include "ops/compute_stream.h"
#include "tensor/tensor.h"

namespace pagoda {

// y += scale * x, one fused multiply-add each. x, y: [rows, columns] float32, of one shape; they do not
// overlap.
void add_scaled(const Tensor& y, const Tensor& x, float scale, ComputeStream& stream);

// x = tanh(x / cap) * cap, in place: logits that stay within the cap. x: [rows, columns] float32; cap > 0.
// Absolute error about 1e-7 * cap, the same bits for every instruction set.
void soft_cap(const Tensor& x, float cap, ComputeStream& stream);

}  // namespace pagoda
