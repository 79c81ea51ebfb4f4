// vec_scalar.h in one 512-bit register; see there. With AVX512_BF16 and AVX512_VNNI the dot products are one
// instruction each.
#pragma once
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the deliberately undefined operand of some intrinsics for an uninitialised variable.
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
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
  __m512 r;
};

// 32 registers: 6 rows x 4 vectors are 24 sums, four vectors of weights, one of x.
constexpr int kTileRows = 6;
// The same for products with packed weights: vectors of a panel per tile, alone for a single row; and with
// integer sums beside the float ones (int4).
constexpr int kTileVectors = 4, kRowVectors = 4, kGroupRows = 6, kGroupVectors = 2, kGroupFewRows = 3,
              kGroupFewVectors = 4;

PAGODA_INLINE V broadcast(float x) {
  return {_mm512_set1_ps(x)};
}
PAGODA_INLINE V zero() {
  return {_mm512_setzero_ps()};
}
PAGODA_INLINE V load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
PAGODA_INLINE __m256i load_words(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
PAGODA_INLINE V load(const Bf16* p) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_words(p)), 16))};
}
PAGODA_INLINE V load(const F16* p) {
  return {_mm512_cvtph_ps(load_words(p))};
}
PAGODA_INLINE void store(float* p, V a) {
  _mm512_storeu_ps(p, a.r);
}
PAGODA_INLINE void store(Bf16* p, V a) {
  __m512i bits = _mm512_castps_si512(a.r), top = _mm512_srli_epi32(bits, 16);
  __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
  __m512i rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7FFF)), odd), 16);
  __mmask16 nan = _mm512_cmp_ps_mask(a.r, a.r, _CMP_UNORD_Q);
  __m512i words = _mm512_mask_or_epi32(rounded, nan, top, _mm512_set1_epi32(0x40));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(words));
}
PAGODA_INLINE void store(F16* p, V a) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(a.r, _MM_FROUND_TO_NEAREST_INT));
}
PAGODA_INLINE __mmask16 lanes_below(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFFu : count <= 0 ? 0u : (1u << count) - 1);
}
PAGODA_INLINE V load_n(const float* p, int64_t count) {
  return {_mm512_maskz_loadu_ps(lanes_below(count), p)};
}
PAGODA_INLINE void store_n(float* p, V a, int64_t count) {
  _mm512_mask_storeu_ps(p, lanes_below(count), a.r);
}
PAGODA_INLINE V fma(V a, V b, V c) {
  return {_mm512_fmadd_ps(a.r, b.r, c.r)};
}
PAGODA_INLINE V add(V a, V b) {
  return {_mm512_add_ps(a.r, b.r)};
}
PAGODA_INLINE V sub(V a, V b) {
  return {_mm512_sub_ps(a.r, b.r)};
}
PAGODA_INLINE V mul(V a, V b) {
  return {_mm512_mul_ps(a.r, b.r)};
}
PAGODA_INLINE V div(V a, V b) {
  return {_mm512_div_ps(a.r, b.r)};
}
PAGODA_INLINE V max(V a, V b) {
  return {_mm512_max_ps(a.r, b.r)};
}
PAGODA_INLINE V min(V a, V b) {
  return {_mm512_min_ps(a.r, b.r)};
}
PAGODA_INLINE float sum_lanes(V a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.r), _mm512_extractf32x8_ps(a.r, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PAGODA_INLINE float max_lanes(V a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.r), _mm512_extractf32x8_ps(a.r, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
PAGODA_INLINE V select_range(V a, V b, int64_t begin, int64_t end) {
  __mmask16 inside = static_cast<__mmask16>(lanes_below(end) & ~lanes_below(begin));
  return {_mm512_mask_blend_ps(inside, b.r, a.r)};
}
constexpr float kRoundMagic = 0x1.8p23f;
PAGODA_INLINE V scale_pow2(V a, V shifted) {
  return {_mm512_scalef_ps(a.r, _mm512_sub_ps(shifted.r, _mm512_set1_ps(kRoundMagic)))};
}
PAGODA_INLINE float sqrt1(float x) {
  return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
}
PAGODA_INLINE V abs(V a) {
  return {_mm512_abs_ps(a.r)};
}

struct I {
  __m512i r;
};
PAGODA_INLINE I broadcast_word(uint32_t x) {
  return {_mm512_set1_epi32(static_cast<int>(x))};
}
PAGODA_INLINE I load_word16(const void* p) {
  return {_mm512_loadu_si512(p)};
}
PAGODA_INLINE void store_word16(void* p, I a) {
  _mm512_storeu_si512(p, a.r);
}
PAGODA_INLINE V dot2(V sum, I a, I b) {
#if defined(__AVX512BF16__)
  return {_mm512_dpbf16_ps(sum.r, reinterpret_cast<__m512bh>(a.r), reinterpret_cast<__m512bh>(b.r))};
#else
  const __m512i high = _mm512_set1_epi32(static_cast<int>(0xFFFF0000u));
  __m512 odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(a.r, high)),
                               _mm512_castsi512_ps(_mm512_and_si512(b.r, high)), sum.r);
  return {_mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(a.r, 16)),
                          _mm512_castsi512_ps(_mm512_slli_epi32(b.r, 16)), odd)};
#endif
}
PAGODA_INLINE I dot4(I sum, I a, I b) {
#if defined(__AVX512VNNI__)
  return {_mm512_dpbusd_epi32(sum.r, a.r, b.r)};
#else  // by way of 16 bits: vpmaddubsw would saturate
  __m512i even = _mm512_madd_epi16(_mm512_and_si512(a.r, _mm512_set1_epi32(0x00FF00FF)),
                                   _mm512_srai_epi16(_mm512_slli_epi16(b.r, 8), 8));
  __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(a.r, 8), _mm512_srai_epi16(b.r, 8));
  return {_mm512_add_epi32(sum.r, _mm512_add_epi32(even, odd))};
#endif
}
PAGODA_INLINE I low_nibbles(I a) {
  return {_mm512_and_si512(a.r, _mm512_set1_epi32(0x0F0F0F0F))};
}
PAGODA_INLINE I high_nibbles(I a) {
  return low_nibbles({_mm512_srli_epi32(a.r, 4)});
}
PAGODA_INLINE V to_float(I a) {
  return {_mm512_cvtepi32_ps(a.r)};
}
PAGODA_INLINE V load_bytes(const uint8_t* p) {
  return {_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
}
PAGODA_INLINE void store_bytes(int8_t* p, V a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.r)));
}
PAGODA_INLINE void store_bytes(int8_t* p, V a, V b, V c, V d) {
  const __m512i ab = _mm512_packs_epi32(_mm512_cvtps_epi32(a.r), _mm512_cvtps_epi32(b.r));
  const __m512i cd = _mm512_packs_epi32(_mm512_cvtps_epi32(c.r), _mm512_cvtps_epi32(d.r));
  // Packing works within 128 bits: four numbers of each in turn.
  const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
  _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, _mm512_packs_epi16(ab, cd)));
}

}  // namespace
}  // namespace pagoda::cpu
