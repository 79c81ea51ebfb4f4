#pragma once
#include <string_view>

#include "base/status.h"

namespace pagoda {

// Instruction sets that ops have variants for, ascending. kScalar runs everywhere.
enum class Isa { kScalar, kAvx2, kAvx512, kAvx512Bf16 };
inline constexpr Isa kIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16};

Isa best_isa();  // what this CPU (and its OS) supports: AVX2 means AVX2 + FMA + F16C; AVX-512 means F, BW,
                 // VL, DQ; AVX-512 BF16 means BF16 and VNNI besides
Isa selected_isa();  // best_isa() unless select_isa was called
// Error if the CPU lacks it. Not while an op runs. All sets give the same bits from the same packed weights,
// but where bfloat16 numbers or their products are denormal (below 2^-126), which AVX-512 BF16 takes for
// zero.
Status select_isa(Isa isa);
const char* isa_name(Isa isa);

}  // namespace pagoda
