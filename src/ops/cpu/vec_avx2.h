// vec_scalar.h in two 256-bit registers; see there.
#pragma once
#include <immintrin.h>

#include "ops/cpu/kernels.h"

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
  __m256 lo, hi;
};

// 16 registers: 6 x 1 panels are 12 sums, two halves of a panel, one x; 1 x 4 for the memory-bound single
// row.
constexpr int kTileRows = 6, kTilePanels = 1, kStreamPanels = 4;

PAGODA_INLINE V broadcast(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
PAGODA_INLINE V zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
PAGODA_INLINE V load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
PAGODA_INLINE __m256 widen_bf16(const Bf16* p) {
  __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}
PAGODA_INLINE V load(const Bf16* p) {
  return {widen_bf16(p), widen_bf16(p + 8)};
}
PAGODA_INLINE V load(const F16* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 8)))};
}
PAGODA_INLINE void store(float* p, V a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
PAGODA_INLINE __m128i narrow_bf16(__m256 a) {
  __m256i bits = _mm256_castps_si256(a), top = _mm256_srli_epi32(bits, 16);
  __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
  __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd), 16);
  __m256i quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
  __m256 nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  __m256i words = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}
PAGODA_INLINE void store(Bf16* p, V a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_bf16(a.lo));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), narrow_bf16(a.hi));
}
PAGODA_INLINE void store(F16* p, V a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(a.lo, _MM_FROUND_TO_NEAREST_INT));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 8), _mm256_cvtps_ph(a.hi, _MM_FROUND_TO_NEAREST_INT));
}
PAGODA_INLINE __m256i lanes_from(int first) {
  return _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(first));
}
PAGODA_INLINE __m256i lanes_below(int64_t count, int first) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lanes_from(first));
}
PAGODA_INLINE V load_n(const float* p, int64_t count) {
  if (count >= 16) return load(p);
  return {_mm256_maskload_ps(p, lanes_below(count, 0)), _mm256_maskload_ps(p + 8, lanes_below(count, 8))};
}
PAGODA_INLINE void store_n(float* p, V a, int64_t count) {
  if (count >= 16) return store(p, a);
  _mm256_maskstore_ps(p, lanes_below(count, 0), a.lo);
  _mm256_maskstore_ps(p + 8, lanes_below(count, 8), a.hi);
}
PAGODA_INLINE V fma(V a, V b, V c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
PAGODA_INLINE V add(V a, V b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
PAGODA_INLINE V sub(V a, V b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
PAGODA_INLINE V mul(V a, V b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
PAGODA_INLINE V div(V a, V b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
PAGODA_INLINE V max(V a, V b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
PAGODA_INLINE V min(V a, V b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
PAGODA_INLINE __m256 blend_range(__m256 a, __m256 b, int64_t begin, int64_t end, int first) {
  __m256i inside = _mm256_andnot_si256(lanes_below(begin, first), lanes_below(end, first));
  return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(inside));
}
PAGODA_INLINE V select_range(V a, V b, int64_t begin, int64_t end) {
  return {blend_range(a.lo, b.lo, begin, end, 0), blend_range(a.hi, b.hi, begin, end, 8)};
}
constexpr float kRoundMagic = 0x1.8p23f;
PAGODA_INLINE __m256 power_of_two(__m256i exponent) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponent, _mm256_set1_epi32(127)), 23));
}
PAGODA_INLINE __m256 scale_half(__m256 a, __m256 shifted) {
  __m256i n = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4B400000));
  __m256i half = _mm256_srai_epi32(n, 1);
  return _mm256_mul_ps(_mm256_mul_ps(a, power_of_two(half)), power_of_two(_mm256_sub_epi32(n, half)));
}
PAGODA_INLINE V scale_pow2(V a, V shifted) {
  return {scale_half(a.lo, shifted.lo), scale_half(a.hi, shifted.hi)};
}
PAGODA_INLINE float sqrt1(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}

}  // namespace
}  // namespace pagoda::cpu
