// Kernels of one row at a time; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

struct RowKernels {
  void (*rms_norm)(float* y, const float* x, const float* weight, float eps, int64_t count);
  void (*rope)(float* head, const float* cos, const float* sin, int64_t half);
  void (*exp)(float* y, const float* x, int64_t count);
  // The largest number; `begin`: none before it is as large, and one soon after is. `is_finite`: neither NaN
  // nor +infinity among them.
  float (*maximum)(const float* x, int64_t count, int64_t* begin, bool* is_finite);
  // y[i] = (x[i] - by) / divisor; y may be x.
  void (*shift_and_divide)(float* y, const float* x, float by, float divisor, int64_t count);
  // Rounds to bfloat16; an odd count is filled up with a zero.
  void (*narrow)(uint16_t* y, const float* x, int64_t count);
  // y[i] = round(x[i] * factor[i] * 127 / max), zero from `count` to `padded` (a multiple of 4); offset_sums:
  // `offset` times the sum of y, per `group` (a multiple of 16, or everything). Returns max / 127, or NaN if
  // a number is not finite. factor: null for ones.
  float (*quantize)(int8_t* y, int32_t* offset_sums, int32_t offset, const float* x, const float* factor,
                    int64_t count, int64_t padded, int64_t group);
  void (*soft_cap)(float* x, float cap, int64_t count);                       // in place
  void (*add_scaled)(float* y, const float* x, float factor, int64_t count);  // y += factor * x, rounded once
};

}  // namespace pagoda::cpu
