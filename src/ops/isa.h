#pragma once
#include <string_view>

#include "base/status.h"

namespace pagoda {

// Instruction sets that ops have variants for, ascending. kScalar runs everywhere.
enum class Isa { kScalar, kAvx2, kAvx512 };

Isa best_isa();      // what this CPU (and its OS) supports: AVX2 means AVX2 + FMA + F16C; AVX-512 means F, BW, VL, DQ
Isa selected_isa();  // best_isa() unless select_isa was called
// Error if the CPU lacks it. Before the first op only: weights are packed for one instruction set.
Status select_isa(Isa isa);
const char* isa_name(Isa isa);

}  // namespace pagoda
