// The exponential of every kernel. Included after one of the vec_*-inl.h, by kernel files only.
#pragma once

namespace pagoda::cpu {
namespace {

// e^x = 2^n * e^r with n = round(x / ln 2), |r| <= ln 2 / 2. The Taylor polynomial to r^7 leaves r^8 / 8! <
// 6e-9, a tenth of half an ulp of float32; the whole is within 1 ulp, results below 2^-126 included. Exact at
// 0 and at -inf; overflows to +inf; NaN stays NaN. A chain of fused multiply-adds: the same bits on every
// instruction set and in every lane.
PAGODA_INLINE V exp(V x) {
  constexpr float kLog2E = 0x1.715476p0f, kLn2High = 0x1.62e43p-1f, kLn2Low = -0x1.05c61p-29f;
  x = min(broadcast(89.0f), max(broadcast(-104.5f), x));  // beyond: inf and 0
  V shifted = fma(x, broadcast(kLog2E), broadcast(kRoundMagic));
  V n = sub(shifted, broadcast(kRoundMagic));
  V r = fma(n, broadcast(-kLn2Low), fma(n, broadcast(-kLn2High), x));
  V p = broadcast(1.0f / 5040);
  p = fma(p, r, broadcast(1.0f / 720));
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  return scale_pow2(p, shifted);
}

}  // namespace
}  // namespace pagoda::cpu
