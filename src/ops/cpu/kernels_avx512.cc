// The vector first: the kernels are written in its terms.
// clang-format off
#include "ops/cpu/vec_avx512-inl.h"
#include "ops/cpu/kernels-inl.h"
// clang-format on

namespace pagoda::cpu {

extern const KernelTable kAvx512Kernels = {kMatmulKernels, kRowKernels, kAttentionKernels, kQuantizeKernels,
                                           kNoiseKernels};

}  // namespace pagoda::cpu
