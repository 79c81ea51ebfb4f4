// What attention asks of a vector beyond vec_*-inl.h. Included after one of those and exp-inl.h, by kernel
// files only. All branches give the same bits.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

// Rows and vectors of a register tile.
#if defined(__AVX512F__)
constexpr int kRows = 6, kVectors = 4;
#elif defined(__AVX2__)
constexpr int kRows = 4, kVectors = 1;
#else
constexpr int kRows = 2, kVectors = 1;
#endif

// The greatest lane, in all lanes. If some are NaN, any of the lanes.
PAGODA_INLINE V spread_max(V a) {
#if defined(__AVX512F__)
  a.r = _mm512_max_ps(a.r, _mm512_shuffle_f32x4(a.r, a.r, 0x4E));
  a.r = _mm512_max_ps(a.r, _mm512_shuffle_f32x4(a.r, a.r, 0xB1));
  a.r = _mm512_max_ps(a.r, _mm512_permute_ps(a.r, 0x4E));
  return {_mm512_max_ps(a.r, _mm512_permute_ps(a.r, 0xB1))};
#else
  return broadcast(max_lanes(a));
#endif
}

// 0 in the lanes where x < limit, else a; NaN is not less.
PAGODA_INLINE V zero_where_less(V a, V x, float limit) {
#if defined(__AVX512F__)
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.r, _mm512_set1_ps(limit), _CMP_NLT_UQ), a.r)};
#elif defined(__AVX2__)
  const __m256 edge = _mm256_set1_ps(limit);
  return {_mm256_andnot_ps(_mm256_cmp_ps(x.lo, edge, _CMP_LT_OQ), a.lo),
          _mm256_andnot_ps(_mm256_cmp_ps(x.hi, edge, _CMP_LT_OQ), a.hi)};
#else
  return each([&](int i) { return x.lane[i] < limit ? 0.0f : a.lane[i]; });
#endif
}

// 32 numbers, a before b, as bfloat16; denormals are not allowed.
PAGODA_INLINE void store_bf16_pairs(void* p, V a, V b) {
#if defined(__AVX512BF16__)
  const __m512bh words = _mm512_cvtne2ps_pbh(b.r, a.r);
  _mm512_storeu_si512(p, reinterpret_cast<const __m512i&>(words));
#else
  store(static_cast<Bf16*>(p), a);
  store(static_cast<Bf16*>(p) + kLanes, b);
#endif
}

// Lane i to p[step * i], rounded to T already; the elements between belong to other threads, which may write
// them now.
template <int kStep, class T>
PAGODA_INLINE void store_apart(T* p, const T* numbers) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  if constexpr (sizeof(T) == 2 && kStep == 2) {
    __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers)));
    return _mm512_mask_storeu_epi16(p, 0x55555555u, words);
  } else if constexpr (sizeof(T) == 1 && kStep == 4) {
    __m512i words = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(numbers)));
    return _mm512_mask_storeu_epi8(p, 0x1111111111111111u, words);
  }
#endif
  for (int64_t i = 0; i < kLanes; ++i) p[i * kStep] = numbers[i];
}

PAGODA_INLINE V floor(V a) {
#if defined(__AVX512F__)
  return {_mm512_roundscale_ps(a.r, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
#elif defined(__AVX2__)
  return {_mm256_floor_ps(a.lo), _mm256_floor_ps(a.hi)};
#else
  return each([&](int i) { return __builtin_floorf(a.lane[i]); });
#endif
}
PAGODA_INLINE V round_near(V a) {  // to the nearest whole number, ties to even; |a| < 2^22
  return sub(add(a, broadcast(kRoundMagic)), broadcast(kRoundMagic));
}

// 2^x for x <= 0 (a little above is fine), 0 below -60: with K, V and queries of at least 2^-50 or 0, no
// product is so small that vdpbf16ps would take it for 0. 2^r on 0 <= r < 1 by a minimax polynomial that is
// exact at 0; relative error below 1.4e-7, or below 9e-5 where the result is rounded to bfloat16 (half a
// unit: 2e-3). NaN stays NaN.
template <bool kShort = false>
PAGODA_INLINE V exp2(V x) {
  const V whole = floor(x), r = sub(x, whole);
  V p;
  if constexpr (kShort) {
    p = fma(broadcast(0x1.3baaa6p-4f), r, broadcast(0x1.d2378ap-3f));
    p = fma(p, r, broadcast(0x1.63e658p-1f));
  } else {
    p = fma(broadcast(0x1.e974fap-10f), r, broadcast(0x1.277856p-7f));
    p = fma(p, r, broadcast(0x1.c91ce6p-5f));
    p = fma(p, r, broadcast(0x1.ebdb56p-3f));
    p = fma(p, r, broadcast(0x1.62e4bap-1f));
  }
  p = fma(p, r, broadcast(1.0f));
#if defined(__AVX512F__)
  const __mmask16 seen = _mm512_cmp_ps_mask(x.r, _mm512_set1_ps(-60.0f), _CMP_NLT_UQ);
  return {_mm512_maskz_scalef_ps(seen, p.r, x.r)};  // p * 2^floor(x)
#else
  return zero_where_less(scale_pow2(p, add(whole, broadcast(kRoundMagic))), x, -60.0f);
#endif
}

// Whether a lane of a is greater than b's, or one is NaN.
PAGODA_INLINE bool any_above(V a, V b) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(a.r, b.r, _CMP_NLE_UQ) != 0;
#elif defined(__AVX2__)
  return (_mm256_movemask_ps(_mm256_cmp_ps(a.lo, b.lo, _CMP_NLE_UQ)) |
          _mm256_movemask_ps(_mm256_cmp_ps(a.hi, b.hi, _CMP_NLE_UQ))) != 0;
#else
  bool any = false;
  for (int i = 0; i < kLanes; ++i) any = any || !(a.lane[i] <= b.lane[i]);
  return any;
#endif
}

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
