// Loops of nothing but one instruction on sixteen independent registers: more than latency times ports.
#include "bench/step/roofline.h"

namespace pagoda {
namespace {

// Assembly on named registers, so that no compiler spills them or must know the instruction. All are cleared
// first: zeros are as fast as any number here, and never denormal.
#define PAGODA_FOUR(op, a, b, c, d)                                                  \
  op " %%zmm16, %%zmm17, %%zmm" #a "\n\t" op " %%zmm16, %%zmm17, %%zmm" #b "\n\t" op \
     " %%zmm16, %%zmm17, %%zmm" #c "\n\t" op " %%zmm16, %%zmm17, %%zmm" #d "\n\t"
#define PAGODA_SIXTEEN(op)    \
  PAGODA_FOUR(op, 0, 1, 2, 3) \
  PAGODA_FOUR(op, 4, 5, 6, 7) PAGODA_FOUR(op, 8, 9, 10, 11) PAGODA_FOUR(op, 12, 13, 14, 15)
#define PAGODA_LOOP(op) \
  asm volatile("vzeroall\n\t"                                                                             \
               "vpxord %%zmm16, %%zmm16, %%zmm16\n\t"                                                     \
               "vpxord %%zmm17, %%zmm17, %%zmm17\n\t"                                                     \
               "1:\n\t" PAGODA_SIXTEEN(op) "dec %0\n\t"                                                   \
               "jnz 1b\n\t"                                                                               \
               "vzeroupper"                                                                               \
               : "+r"(rounds)                                                                             \
               :                                                                                          \
               : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",    \
                 "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17")

constexpr double kInstructions = 16, kLanes = 16;  // per round; of 32 bits

}  // namespace

double fma_f32_ops(int64_t rounds) {
  const double ops = static_cast<double>(rounds) * kInstructions * kLanes * 2;
  PAGODA_LOOP("vfmadd231ps");
  return ops;
}

double dot_bf16_ops(int64_t rounds) {
  const double ops = static_cast<double>(rounds) * kInstructions * kLanes * 4;
  PAGODA_LOOP("vdpbf16ps");
  return ops;
}

double dot_int8_ops(int64_t rounds) {
  const double ops = static_cast<double>(rounds) * kInstructions * kLanes * 8;
  PAGODA_LOOP("vpdpbusd");
  return ops;
}

}  // namespace pagoda
