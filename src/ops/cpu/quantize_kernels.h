// Quantization of weights while they are packed; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

struct QuantizeKernels {
  // float32 numbers of `count` stored ones.
  void (*widen)(Elem elem, float* out, const void* in, int64_t count);
  // sums[i] += x[i] * x[i].
  void (*add_squares)(float* sums, const float* x, int64_t count);
  // x[i] *= factor[i].
  void (*scale)(float* x, const float* factor, int64_t count);
  // codes[i] = round(x[i] / scale) + 128 within 1 .. 255, for the scale of least squared error; returns it.
  float (*to_int8)(uint8_t* codes, const float* x, int64_t count);
  // A group: codes within 0 .. 15, x[i] ~ (codes[i] - zero) * scale, scale rounded to float16. zero: 8 unless
  // `zeros`. count: a multiple of 16.
  void (*to_int4)(uint8_t* codes, uint16_t* scale, uint8_t* zero, const float* x, int64_t count, bool zeros);
};

}  // namespace pagoda::cpu
