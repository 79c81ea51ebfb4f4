// The product's task and kernels; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

inline constexpr int64_t kPanel = 64;      // outputs per panel of packed weights
inline constexpr int64_t kMaxRows = 256;   // rows of x per call
inline constexpr int64_t kMaxK = 1 << 16;  // inputs of an int8 product: 255 * 127 * 2^16 < 2^31

// What one multiplication takes: a lane of 32 (kF16: 16) bits of the panel and a word of x.
enum class Dot : uint8_t { kF32, kF16, kBF16, kInt8, kInt4, kInt4Zeros };
enum class Write : uint8_t { kStore, kAdd, kStoreBf16, kSiluMul, kSiluMulBf16, kGeluMul, kGeluMulBf16 };

// A panel holds, for 64 outputs:
//   kF32, kF16, kBF16  [step][64 lanes]; a step is one k, or two for kBF16
//   kInt8              [step of 4 k][64 lanes of 4 bytes, code + 128], then [64] float32 scales
//   kInt4              per group of k: [8 k][64 lanes of 8 nibbles: the first 4 k in the low ones], [64]
//   float16
//                      scales, and [64] byte zero points (kInt4Zeros; else 8)
struct MatmulTask {
  Dot dot;
  Write write;
  const uint32_t* x;             // rows of words, one per step
  int64_t x_stride, m;           // words; m <= kMaxRows
  const float* x_scale;          // [m], integers only
  const int32_t* x_offset_sums;  // [m, x_groups], integers only: see MatmulInput
  int64_t x_groups;
  const std::byte* panels;
  int64_t panel_bytes, steps;         // steps per panel; kInt4: groups
  int64_t group_words;                // kInt4: words of x per group
  int64_t n, panel_begin, panel_end;  // n: outputs before padding; of y: half of it of a gated product
  const float* bias;                  // [panels * 64] or null
  void* y;
  int64_t y_stride;        // elements
  uint32_t* partial_sums;  // m * kPanel words of this worker: sums between two passes over k
  // Of CpuTuning.
  int64_t near_bytes, tile_rows, slice_words;
  bool near_past_l2;
};

struct MatmulKernels {
  void (*matmul)(const MatmulTask& task);
  // Words of one output: out[i] = the i-th lane of `panel` at column `column`, widened (integers: times the
  // scale).
  void (*gather)(Dot dot, float* out, const std::byte* panel, int64_t column, int64_t steps,
                 int64_t group_words, int64_t k);
};

}  // namespace pagoda::cpu
