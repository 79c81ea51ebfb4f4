// How the CPU lays out the rows that a product reads (MatmulInput).
#pragma once
#include "ops/matmul.h"

namespace pagoda::cpu {

struct RowLayout {
  std::byte* data = nullptr;
  int64_t row_bytes = 0;
  float* scale = nullptr;  // [rows], int8 only
  // [rows, num_groups]: the sum of a group's codes times -128 (kInt8) or -8 (kInt4), which is what the offset
  // of unsigned weight codes adds to a product, negated; times 1 where weights have zero points.
  int32_t* offset_sums = nullptr;
  int64_t num_groups = 0;
  const float* column_scale = nullptr;  // [k] or null: what x is multiplied by before it is quantized
};
static_assert(sizeof(RowLayout) == sizeof(MatmulInput::Layout));

RowLayout layout_of(const MatmulInput& input);
// Requires: input's rows, k and format.
void set_layout(MatmulInput* input, const RowLayout& layout);

}  // namespace pagoda::cpu
