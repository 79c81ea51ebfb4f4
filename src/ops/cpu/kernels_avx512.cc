#include "ops/cpu/vec_avx512.h"
// The kernels in terms of it.
#include "ops/cpu/exp.h"
// In this order: each uses those before it.
#include "ops/cpu/gemm.h"
#include "ops/cpu/rows.h"
// clang-format off
#include "ops/cpu/attend.h"
// clang-format on

namespace pagoda::cpu {

extern const KernelTable kAvx512Kernels = {matmul,         gather,     rms_norm,   silu_mul,
                                           rope,           exp_row,    kv_store,   attn_reset,
                                           attn_partition, attn_merge, attn_finish};

}  // namespace pagoda::cpu
