// Draws by the Gumbel-max trick; see kernels.h for what may stand here.
#pragma once
#include "ops/cpu/lanes.h"

namespace pagoda::cpu {

inline constexpr int64_t kNoiseBlock = 64;  // tokens that are looked at together

// See ops/host_rows.h.
struct NoiseScan {
  const float* logits;
  int64_t count, begin;
  uint32_t key0, key1, index;
  float least, best;
  uint64_t found;               // bit i: token begin + i
  uint32_t upper[kNoiseBlock];  // of those
};

struct NoiseKernels {
  bool (*scan)(NoiseScan* scan);
};

}  // namespace pagoda::cpu
