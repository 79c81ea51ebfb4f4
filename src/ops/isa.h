#pragma once
#include <string_view>

#include "base/status.h"

namespace pagoda {

// Instruction sets that ops have variants for, ascending. kScalar runs everywhere.
enum class Isa { kScalar, kAvx2, kAvx512 };

Isa best_isa();  // what this CPU (and its OS) supports: AVX2 means AVX2 + FMA + F16C; AVX-512 means F, BW,
                 // VL, DQ
Isa selected_isa();  // best_isa() unless select_isa was called
// Error if the CPU lacks it. Not while an op runs. All sets give the same bits from the same packed weights.
Status select_isa(Isa isa);
const char* isa_name(Isa isa);

}  // namespace pagoda
