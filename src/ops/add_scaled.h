#pragma once
#include "ops/compute_stream.h"
#include "tensor/tensor.h"

namespace pagoda {

// y += scale * x, one fused multiply-add each. x, y: [rows, columns] float32, of one shape; they do not
// overlap.
void add_scaled(const Tensor& y, const Tensor& x, float scale, ComputeStream& stream);

}  // namespace pagoda
