#pragma once
#include "tensor/weight.h"

namespace pagoda::cpu {

// Row `row` of a grouped weight as float32, out: [columns]. code - zero is exact, its product with the scale
// rounded once. Requires: check_weight().
void dequantize_row(const Weight& weight, int64_t row, float* out);

}  // namespace pagoda::cpu
