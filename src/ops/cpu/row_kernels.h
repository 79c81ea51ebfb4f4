// Kernels of one row at a time; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

struct RowKernels {
  void (*rms_norm)(float* y, const float* x, const float* weight, float eps, int64_t count);
  void (*silu_mul)(float* y, const float* gate, const float* up, int64_t count);
  void (*rope)(float* head, const float* cos, const float* sin, int64_t half);
  void (*exp)(float* y, const float* x, int64_t count);
};

}  // namespace pagoda::cpu
