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

// 16 registers: 6 rows x 1 vector are 12 sums, two halves of a vector of weights, one of x.
constexpr int kTileRows = 6;
// The same for products with packed weights: vectors of a panel per tile, alone for a single row; and with
// integer sums beside the float ones (int4).
constexpr int kTileVectors = 1, kRowVectors = 4, kGroupRows = 3, kGroupVectors = 1, kGroupFewRows = 1,
              kGroupFewVectors = 2;

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
PAGODA_INLINE float sum_lanes(V a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
PAGODA_INLINE float max_lanes(V a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
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
PAGODA_INLINE V abs(V a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}

struct I {
  __m256i lo, hi;
};
PAGODA_INLINE I broadcast_word(uint32_t x) {
  return {_mm256_set1_epi32(static_cast<int>(x)), _mm256_set1_epi32(static_cast<int>(x))};
}
PAGODA_INLINE I load_word16(const void* p) {
  const auto* words = static_cast<const __m256i*>(p);
  return {_mm256_loadu_si256(words), _mm256_loadu_si256(words + 1)};
}
PAGODA_INLINE void store_word16(void* p, I a) {
  auto* words = static_cast<__m256i*>(p);
  _mm256_storeu_si256(words, a.lo);
  _mm256_storeu_si256(words + 1, a.hi);
}
PAGODA_INLINE __m256 dot2_half(__m256 sum, __m256i a, __m256i b) {
  const __m256i high = _mm256_set1_epi32(static_cast<int>(0xFFFF0000u));
  sum = _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_and_si256(a, high)),
                        _mm256_castsi256_ps(_mm256_and_si256(b, high)), sum);
  return _mm256_fmadd_ps(_mm256_castsi256_ps(_mm256_slli_epi32(a, 16)),
                         _mm256_castsi256_ps(_mm256_slli_epi32(b, 16)), sum);
}
PAGODA_INLINE V dot2(V sum, I a, I b) {
  return {dot2_half(sum.lo, a.lo, b.lo), dot2_half(sum.hi, a.hi, b.hi)};
}
// By way of 16 bits: vpmaddubsw would saturate.
PAGODA_INLINE __m256i dot4_half(__m256i sum, __m256i a, __m256i b) {
  const __m256i even_bytes = _mm256_set1_epi32(0x00FF00FF);
  __m256i even =
      _mm256_madd_epi16(_mm256_and_si256(a, even_bytes), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
  __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}
PAGODA_INLINE I dot4(I sum, I a, I b) {
  return {dot4_half(sum.lo, a.lo, b.lo), dot4_half(sum.hi, a.hi, b.hi)};
}
PAGODA_INLINE I low_nibbles(I a) {
  const __m256i mask = _mm256_set1_epi32(0x0F0F0F0F);
  return {_mm256_and_si256(a.lo, mask), _mm256_and_si256(a.hi, mask)};
}
PAGODA_INLINE I high_nibbles(I a) {
  return low_nibbles({_mm256_srli_epi32(a.lo, 4), _mm256_srli_epi32(a.hi, 4)});
}
PAGODA_INLINE V to_float(I a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
PAGODA_INLINE V load_bytes(const uint8_t* p) {
  __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return to_float({_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))});
}
PAGODA_INLINE void store_bytes(int8_t* p, V a) {
  __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
  words = _mm256_permute4x64_epi64(words, 0xD8);  // packing works within 128 bits
  __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
}
PAGODA_INLINE __m256i bytes_of(V a, V b) {
  const __m256i first = _mm256_packs_epi32(_mm256_cvtps_epi32(a.lo), _mm256_cvtps_epi32(a.hi));
  const __m256i second = _mm256_packs_epi32(_mm256_cvtps_epi32(b.lo), _mm256_cvtps_epi32(b.hi));
  const __m256i order = _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0);
  return _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), order);
}
PAGODA_INLINE void store_bytes(int8_t* p, V a, V b, V c, V d) {
  store_word16(p, {bytes_of(a, b), bytes_of(c, d)});
}

}  // namespace
}  // namespace pagoda::cpu
