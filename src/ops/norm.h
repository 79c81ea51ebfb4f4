#pragma once
#include "ops/matmul.h"

namespace pagoda {

// y[t] = x[t] / sqrt(mean(x[t]^2) + eps) * weight, in float32, then as `y` holds its rows. x: [y.rows, y.k]
// float32; weight: [y.k]. The sum of squares runs in 16 lanes, lane i over columns i, i + 16, ... in
// ascending order, added pairwise at the end: the same bits for every instruction set.
void rms_norm(const MatmulInput& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
              ComputeStream& stream);

// y[t] += what rms_norm() makes of x[t]. x, y: [num_tokens, k] float32.
void rms_norm_add(const Tensor& y, const Tensor& x, DeviceSpan<const float> weight, float eps,
                  ComputeStream& stream);

// In place, of each of the num_heads heads of head_dim at the start of every row of x by itself. x:
// [num_tokens, >= num_heads * head_dim] float32; weight: [head_dim].
void rms_norm_heads(const Tensor& x, int32_t num_heads, int32_t head_dim, DeviceSpan<const float> weight,
                    float eps, ComputeStream& stream);

}  // namespace pagoda
