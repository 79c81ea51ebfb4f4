#pragma once
#include <cstdint>

#include "ops/compute_stream.h"

namespace pagoda {

// y[i] = x[rows[i]]. y: [rows.size, >= k], x: [any, k] float32. Requires: rows within x; y and x do not
// overlap.
void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream);

}  // namespace pagoda
