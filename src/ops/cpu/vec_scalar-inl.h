// Sixteen floats as one value, in plain C++: what the kernels are written in. vec_avx2.h and vec_avx512.h
// define the same names; each operation rounds identically in all three, so every kernel gives the same bits
// on every instruction set.
#pragma once
#include "ops/cpu/kernels.h"
#include "tensor/dtype.h"

#define PAGODA_INLINE static inline __attribute__((always_inline))

namespace pagoda::cpu {
namespace {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

struct V {
  float lane[16];
};

// How many rows of x one register tile of a product has.
constexpr int kTileRows = 4;
// The same for products with packed weights: vectors of a panel per tile, alone for a single row; and with
// integer sums beside the float ones (int4).
constexpr int kTileVectors = 1, kRowVectors = 1, kGroupRows = 2, kGroupVectors = 1, kGroupFewRows = 1,
              kGroupFewVectors = 1;

template <class F>
PAGODA_INLINE V each(F f) {
  V out;
  for (int i = 0; i < 16; ++i) out.lane[i] = f(i);
  return out;
}
PAGODA_INLINE V broadcast(float x) {
  return each([&](int) { return x; });
}
PAGODA_INLINE V zero() {
  return broadcast(0);
}
PAGODA_INLINE V load(const float* p) {
  return each([&](int i) { return p[i]; });
}
PAGODA_INLINE V load(const Bf16* p) {
  return each([&](int i) { return bf16_to_float(p[i].bits); });
}
PAGODA_INLINE V load(const F16* p) {
  return each([&](int i) { return f16_to_float(p[i].bits); });
}
PAGODA_INLINE void store(float* p, V a) {
  for (int i = 0; i < 16; ++i) p[i] = a.lane[i];
}
PAGODA_INLINE void store(Bf16* p, V a) {
  for (int i = 0; i < 16; ++i) p[i].bits = float_to_bf16(a.lane[i]);
}
PAGODA_INLINE void store(F16* p, V a) {
  for (int i = 0; i < 16; ++i) p[i].bits = float_to_f16(a.lane[i]);
}
// The first `count` lanes (at most 16; memory behind them is not touched), zero in the others.
PAGODA_INLINE V load_n(const float* p, int64_t count) {
  return each([&](int i) { return i < count ? p[i] : 0.0f; });
}
PAGODA_INLINE void store_n(float* p, V a, int64_t count) {
  for (int i = 0; i < 16 && i < count; ++i) p[i] = a.lane[i];
}
// a * b + c, rounded once.
PAGODA_INLINE V fma(V a, V b, V c) {
  return each([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
PAGODA_INLINE V add(V a, V b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
PAGODA_INLINE V sub(V a, V b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
PAGODA_INLINE V mul(V a, V b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
PAGODA_INLINE V div(V a, V b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
// The second operand when either is NaN.
PAGODA_INLINE V max(V a, V b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
PAGODA_INLINE V min(V a, V b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
// The sum and the maximum of the lanes, pairwise: i and i + 8, then 4, 2, 1.
PAGODA_INLINE float sum_lanes(V a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.lane[i] = a.lane[i] + a.lane[i + width];
  return a.lane[0];
}
PAGODA_INLINE float max_lanes(V a) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) a.lane[i] = a.lane[i] > a.lane[i + width] ? a.lane[i] : a.lane[i + width];
  return a.lane[0];
}
// Lane i of a where begin <= i < end, else of b.
PAGODA_INLINE V select_range(V a, V b, int64_t begin, int64_t end) {
  return each([&](int i) { return i >= begin && i < end ? a.lane[i] : b.lane[i]; });
}
constexpr float kRoundMagic = 0x1.8p23f;
PAGODA_INLINE float power_of_two(int32_t exponent) {
  int32_t bits = static_cast<int32_t>(static_cast<uint32_t>(exponent + 127) << 23);
  return __builtin_bit_cast(float, bits);
}
// a * 2^n for shifted = kRoundMagic + n, |n| < 200, rounded once: the first of the two factors keeps a
// normal.
PAGODA_INLINE V scale_pow2(V a, V shifted) {
  return each([&](int i) {
    int32_t n = static_cast<int32_t>(__builtin_bit_cast(uint32_t, shifted.lane[i]) - 0x4B400000u);
    if (n < -200 || n > 200) return a.lane[i];  // NaN
    return a.lane[i] * power_of_two(n >> 1) * power_of_two(n - (n >> 1));
  });
}
PAGODA_INLINE float sqrt1(float x) {
  return __builtin_sqrtf(x);
}
PAGODA_INLINE V abs(V a) {
  return each([&](int i) { return __builtin_fabsf(a.lane[i]); });
}

// Sixteen lanes of 32 bits: integers, or two bfloat16, or four bytes each (the lower address is the lower
// half).
struct I {
  uint32_t lane[16];
};
template <class F>
PAGODA_INLINE I each_word(F f) {
  I out;
  for (int i = 0; i < 16; ++i) out.lane[i] = f(i);
  return out;
}
PAGODA_INLINE I broadcast_word(uint32_t x) {
  return each_word([&](int) { return x; });
}
PAGODA_INLINE I load_word16(const void* p) {
  I out;
  __builtin_memcpy(&out, p, sizeof out);
  return out;
}
PAGODA_INLINE void store_word16(void* p, I a) {
  __builtin_memcpy(p, &a, sizeof a);
}
// sum + high * high, then + low * low: each product exact, each sum rounded once. What vdpbf16ps does, but
// for denormals, which that takes for zero.
PAGODA_INLINE V dot2(V sum, I a, I b) {
  return each([&](int i) {
    auto high = [](uint32_t word) { return __builtin_bit_cast(float, word & 0xFFFF0000u); };
    auto low = [](uint32_t word) { return __builtin_bit_cast(float, word << 16); };
    const float odd = __builtin_fmaf(high(a.lane[i]), high(b.lane[i]), sum.lane[i]);
    return __builtin_fmaf(low(a.lane[i]), low(b.lane[i]), odd);
  });
}
// sum + the four products of unsigned bytes of a with signed bytes of b, exact (modulo 2^32).
PAGODA_INLINE I dot4(I sum, I a, I b) {
  return each_word([&](int i) {
    uint32_t out = sum.lane[i];
    for (int byte = 0; byte < 32; byte += 8)
      out += static_cast<uint32_t>(static_cast<int32_t>(a.lane[i] >> byte & 255) *
                                   static_cast<int8_t>(b.lane[i] >> byte & 255));
    return out;
  });
}
PAGODA_INLINE I low_nibbles(I a) {
  return each_word([&](int i) { return a.lane[i] & 0x0F0F0F0Fu; });
}
PAGODA_INLINE I high_nibbles(I a) {
  return each_word([&](int i) { return a.lane[i] >> 4 & 0x0F0F0F0Fu; });
}
PAGODA_INLINE V to_float(I a) {
  return each([&](int i) { return static_cast<float>(static_cast<int32_t>(a.lane[i])); });
}
PAGODA_INLINE V load_bytes(const uint8_t* p) {  // sixteen unsigned bytes as numbers
  return each([&](int i) { return static_cast<float>(p[i]); });
}
// Sixteen numbers of at most 127 in magnitude as signed bytes, rounded to nearest even.
PAGODA_INLINE void store_bytes(int8_t* p, V a) {
  for (int i = 0; i < 16; ++i) p[i] = static_cast<int8_t>(__builtin_rintf(a.lane[i]));
}
PAGODA_INLINE void store_bytes(int8_t* p, V a, V b, V c, V d) {
  store_bytes(p, a);
  store_bytes(p + kLanes, b);
  store_bytes(p + 2 * kLanes, c);
  store_bytes(p + 3 * kLanes, d);
}

}  // namespace
}  // namespace pagoda::cpu
