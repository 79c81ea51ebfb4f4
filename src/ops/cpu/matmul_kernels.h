// The product's task and kernels; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

inline constexpr int64_t kMaxRows = 512;  // rows of x per matmul call
inline constexpr int64_t kMaxGroup = 8;   // panels worked on together, at most

// y[m, n] of the panels [panel_begin, panel_end). Weights lie as [panel][k][16 columns], the last panel zero
// padded.
struct MatmulTask {
  Elem elem;
  bool accumulate;
  const float* x;
  int64_t x_stride, m;  // m <= kMaxRows
  const void* weights;
  int64_t n, k, panel_begin, panel_end;
  const float* bias;  // [n] or null
  float* y;
  int64_t y_stride;
  float* park;  // kMaxRows * kMaxGroup * kLanes floats of this worker: sums between two blocks of k
};

struct MatmulKernels {
  void (*matmul)(const MatmulTask& task);
  // out[i] = the element at src[i * stride], widened.
  void (*gather)(Elem elem, float* out, const void* src, int64_t stride, int64_t count);
};

}  // namespace pagoda::cpu
