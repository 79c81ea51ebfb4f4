// The vector first: the kernels are written in its terms.
// clang-format off
#include "ops/cpu/vec_avx2.h"
#include "ops/cpu/body.h"
// clang-format on

namespace pagoda::cpu {

extern const KernelTable kAvx2Kernels = {kMatmulKernels, kRowKernels, kAttentionKernels, kQuantizeKernels,
                                         kNoiseKernels};

}  // namespace pagoda::cpu
