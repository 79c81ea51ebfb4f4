#include "ops/cpu/isa.h"

#include <atomic>
#include <string>

#include "ops/cpu/run.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace pagoda {
namespace {

#if defined(__x86_64__)
struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};
Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}
bool has(unsigned word, int bit) {
  return (word >> bit & 1) != 0;
}

// The register files that the operating system saves: bits of XCR0 (Intel SDM volume 1, 13.3).
unsigned saved_state() {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

Isa detect() {
  const Registers features = cpuid(1), extended = cpuid(7);
  if (!has(features.c, 27)) return Isa::kScalar;  // OSXSAVE: xgetbv exists
  const unsigned state = saved_state();
  constexpr unsigned kYmm = 0x6, kZmm = 0xE6;  // SSE + AVX; and opmask, the upper halves, the upper sixteen
  if ((state & kYmm) != kYmm) return Isa::kScalar;
  const bool avx = has(features.c, 28), fma = has(features.c, 12), f16c = has(features.c, 29),
             avx2 = has(extended.b, 5);
  if (!(avx && fma && f16c && avx2)) return Isa::kScalar;
  const bool avx512 =
      has(extended.b, 16) && has(extended.b, 17) && has(extended.b, 30) && has(extended.b, 31);
  if (!avx512 || (state & kZmm) != kZmm) return Isa::kAvx2;
  const bool vnni = has(extended.c, 11), bf16 = has(cpuid(7, 1).a, 5);
  return vnni && bf16 ? Isa::kAvx512Bf16 : Isa::kAvx512;
}
#else
Isa detect() {
  return Isa::kScalar;
}
#endif

std::atomic<Isa>& selection() {
  static std::atomic<Isa> isa{best_isa()};
  return isa;
}

}  // namespace

Isa best_isa() {
  static const Isa isa = detect();
  return isa;
}

Isa selected_isa() {
  return selection().load(std::memory_order_relaxed);
}

Status select_isa(Isa isa) {
  if (isa > best_isa())
    return invalid_argument(
        std::string("this CPU has no ") + isa_name(isa) + "; its best is " + isa_name(best_isa()), "isa");
  selection().store(isa, std::memory_order_relaxed);
  return {};
}

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Bf16:
      return "avx512_bf16";
  }
  return "unknown";
}

namespace cpu {

const KernelTable& kernels_of(Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512Bf16) return kAvx512Bf16Kernels;
  if (isa == Isa::kAvx512) return kAvx512Kernels;
  if (isa == Isa::kAvx2) return kAvx2Kernels;
#endif
  (void)isa;
  return kScalarKernels;
}

const KernelTable& kernels() {
  return kernels_of(selected_isa());
}

bool is_kernel_dtype(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

Elem elem_of(DType dtype) {
  PAGODA_CHECK(is_kernel_dtype(dtype), "no kernel for this dtype");
  return dtype == DType::kF32 ? Elem::kF32 : dtype == DType::kBF16 ? Elem::kBF16 : Elem::kF16;
}

}  // namespace cpu
}  // namespace pagoda
