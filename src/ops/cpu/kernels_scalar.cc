// The vector first: the kernels are written in its terms.
// clang-format off
#include "ops/cpu/vec_scalar.h"
#include "ops/cpu/body.h"
// clang-format on

namespace pagoda::cpu {

extern const KernelTable kScalarKernels = {matmul,         gather,     rms_norm,   silu_mul,
                                           rope,           exp_row,    kv_store,   attn_reset,
                                           attn_partition, attn_merge, attn_finish};

}  // namespace pagoda::cpu
