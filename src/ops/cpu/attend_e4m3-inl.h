// Numbers as e4m3 (tensor/dtype.h) and back. Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

// Codes become bfloat16 that are 2^8 times smaller: the exponent's bias is 127 instead of 7, and or-ing 112
// into it is cheaper than adding 120. Exact, also for what is subnormal in e4m3. The codes for NaN become
// finite: they are never stored, but memory that was not stored to may hold any byte.
constexpr float kE4m3Unit = 256;
// A magnitude below 8 is subnormal: what turns the bits of a normal number of this fraction to its own.
constexpr uint16_t kSubnormal[8] = {0x3800 ^ 0x0000, 0x3810 ^ 0x3700, 0x3820 ^ 0x3780, 0x3830 ^ 0x37C0,
                                    0x3840 ^ 0x3800, 0x3850 ^ 0x3820, 0x3860 ^ 0x3840, 0x3870 ^ 0x3860};
constexpr uint16_t kSignAndCode = 0x87F0, kBias = 0x3800;

struct WidePairs {
  I even, odd;  // of each word's codes 0 and 2, and 1 and 3
};

#if defined(__AVX512F__)

// The codes in the lower bytes of 16-bit words.
PAGODA_INLINE __m512i widen_lower(__m512i w) {
  const __m512i fixes = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kSubnormal)));
  const __m512i spread = _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 4);
  const __m512i normal =
      _mm512_ternarylogic_epi32(spread, _mm512_set1_epi16(static_cast<short>(kSignAndCode)),
                                _mm512_set1_epi16(kBias), 0xEA);  // a & b | c
  const __mmask32 tiny = _mm512_testn_epi16_mask(w, _mm512_set1_epi16(0x78));
  return _mm512_xor_si512(normal, _mm512_maskz_permutexvar_epi16(tiny, w, fixes));
}
PAGODA_INLINE WidePairs widen_e4m3(I codes) {
  return {{widen_lower(codes.r)}, {widen_lower(_mm512_srli_epi16(codes.r, 8))}};
}
PAGODA_INLINE void store_e4m3(uint8_t* p, V a) {
  const __m512 size = _mm512_min_ps(_mm512_abs_ps(a.r), _mm512_set1_ps(448.0f));
  const __m512i bits = _mm512_castps_si512(size);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 20), _mm512_set1_epi32(1));
  const __m512i rounded =
      _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7FFFF - (120 << 23)));
  const __m512i shifted = _mm512_castps_si512(_mm512_add_ps(size, _mm512_set1_ps(0x1p14f)));
  const __m512i code = _mm512_mask_sub_epi32(_mm512_srli_epi32(rounded, 20),
                                             _mm512_cmp_ps_mask(size, _mm512_set1_ps(0x1p-6f), _CMP_LT_OQ),
                                             shifted, _mm512_set1_epi32(0x46800000));
  const __m512i sign =
      _mm512_and_si512(_mm512_srli_epi32(_mm512_castps_si512(a.r), 24), _mm512_set1_epi32(0x80));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_or_si512(code, sign)));
}

#elif defined(__AVX2__)

PAGODA_INLINE __m256i widen_lower(__m256i w) {
  const __m256i fixes =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(kSubnormal)));
  const __m256i spread = _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 4);
  const __m256i normal =
      _mm256_or_si256(_mm256_and_si256(spread, _mm256_set1_epi16(static_cast<short>(kSignAndCode))),
                      _mm256_set1_epi16(kBias));
  const __m256i tiny =
      _mm256_cmpeq_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0x78)), _mm256_setzero_si256());
  const __m256i bytes = _mm256_add_epi16(  // 2 m and 2 m + 1
      _mm256_mullo_epi16(_mm256_and_si256(w, _mm256_set1_epi16(7)), _mm256_set1_epi16(0x0202)),
      _mm256_set1_epi16(0x0100));
  return _mm256_xor_si256(normal, _mm256_and_si256(tiny, _mm256_shuffle_epi8(fixes, bytes)));
}
PAGODA_INLINE WidePairs widen_e4m3(I codes) {
  return {{widen_lower(codes.lo), widen_lower(codes.hi)},
          {widen_lower(_mm256_srli_epi16(codes.lo, 8)), widen_lower(_mm256_srli_epi16(codes.hi, 8))}};
}
PAGODA_INLINE __m256i e4m3_of(__m256 a) {  // in 32 bits
  const __m256 size = _mm256_min_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a), _mm256_set1_ps(448.0f));
  const __m256i bits = _mm256_castps_si256(size);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 20), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7FFFF - (120 << 23)));
  const __m256i shifted = _mm256_castps_si256(_mm256_add_ps(size, _mm256_set1_ps(0x1p14f)));
  const __m256i code = _mm256_blendv_epi8(
      _mm256_srli_epi32(rounded, 20), _mm256_sub_epi32(shifted, _mm256_set1_epi32(0x46800000)),
      _mm256_castps_si256(_mm256_cmp_ps(size, _mm256_set1_ps(0x1p-6f), _CMP_LT_OQ)));
  return _mm256_or_si256(
      code, _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(a), 24), _mm256_set1_epi32(0x80)));
}
PAGODA_INLINE void store_e4m3(uint8_t* p, V a) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(e4m3_of(a.lo), e4m3_of(a.hi)), 0xD8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

#else

PAGODA_INLINE uint32_t widen_one(uint32_t code) {
  const uint32_t magnitude = code & 0x7F;
  return (code & 0x80) << 8 | ((magnitude << 4 | kBias) ^ (magnitude < 8 ? kSubnormal[magnitude] : 0u));
}
PAGODA_INLINE WidePairs widen_e4m3(I codes) {
  auto pair = [](uint32_t word) { return widen_one(word & 255) | widen_one(word >> 16 & 255) << 16; };
  return {each_word([&](int i) { return pair(codes.lane[i]); }),
          each_word([&](int i) { return pair(codes.lane[i] >> 8); })};
}
// 16 numbers as e4m3, to nearest even; beyond 448: 448, of NaN too.
PAGODA_INLINE void store_e4m3(uint8_t* p, V a) {
  for (int i = 0; i < 16; ++i) {
    const float x = a.lane[i];
    p[i] = x == x ? float_to_e4m3(x) : static_cast<uint8_t>(0x7E);
  }
}

#endif

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
