#pragma once
#include <cstdint>

#include "ops/compute_stream.h"
#include "tensor/tensor.h"

namespace pagoda {

class PackedWeight;

// y[t] = row input_ids[t] of the table, widened to float32, times `scale`. y: [input_ids.size, k] float32.
// The table is [vocab, k]; it may be a tied head, held once. Requires: ids within the table (checked by the
// caller at admission).
void embedding(const Tensor& y, DeviceSpan<const int32_t> input_ids, const PackedWeight& table, float scale,
               ComputeStream& stream);

// y[i] = x[rows[i]]. y: [rows.size, >= k], x: [any, k] float32. Requires: rows within x; y and x do not
// overlap.
void gather_rows(const Tensor& y, const Tensor& x, DeviceSpan<const int32_t> rows, ComputeStream& stream);

}  // namespace pagoda
