// The door between ops/cpu/*.cc (checks, splitting over threads) and the kernels, which are compiled once per
// instruction set and reached through one table each. Plain structs and pointers only: a kernel file is
// compiled for a CPU that may not be there, so any inline function with external linkage in it (std::
// included) could be the copy that the linker keeps for all. Hence: kernel files include this header,
// intrinsics and each other, and all they define is in an unnamed namespace but for the table.
#pragma once
#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/matmul_kernels.h"
#include "ops/cpu/noise_kernels.h"
#include "ops/cpu/quantize_kernels.h"
#include "ops/cpu/row_kernels.h"

namespace pagoda::cpu {

struct KernelTable {
  MatmulKernels matmul;
  RowKernels rows;
  AttentionKernels attention;
  QuantizeKernels quantize;
  NoiseKernels noise;
};

extern const KernelTable kScalarKernels;
#if defined(__x86_64__)
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512Bf16Kernels;
#endif

}  // namespace pagoda::cpu
