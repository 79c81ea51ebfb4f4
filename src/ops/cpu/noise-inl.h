// Which tokens may win a draw by the Gumbel-max trick. Included by kernels-inl.h after attend-inl.h, by
// kernel files only.
#pragma once

namespace pagoda::cpu {
namespace {
namespace noise {

// 16 products of 32 bits each, as their upper and lower halves.
struct Wide {
  I high, low;
};
#if defined(__AVX512F__)
PAGODA_INLINE Wide multiply(I a, uint32_t factor) {
  const __m512i f = _mm512_set1_epi32(static_cast<int>(factor));
  const __m512i even = _mm512_mul_epu32(a.r, f), odd = _mm512_mul_epu32(_mm512_srli_epi64(a.r, 32), f);
  return {{_mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd)},
          {_mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32))}};
}
PAGODA_INLINE I exclusive_or(I a, I b) {
  return {_mm512_xor_si512(a.r, b.r)};
}
PAGODA_INLINE I plus(I a, I b) {
  return {_mm512_add_epi32(a.r, b.r)};
}
// Lane i where it may win: upper <= bound * 2^32, logit >= least.
PAGODA_INLINE uint32_t may_win(I upper, V bound, V logit, float least) {
  const __m512 share = _mm512_mul_ps(_mm512_cvtepu32_ps(upper.r), _mm512_set1_ps(0x1p-32f));
  return _mm512_cmp_ps_mask(share, bound.r, _CMP_LE_OQ) &
         _mm512_cmp_ps_mask(logit.r, _mm512_set1_ps(least), _CMP_GE_OQ);
}
PAGODA_INLINE uint32_t greater_equal(V a, float least) {
  return _mm512_cmp_ps_mask(a.r, _mm512_set1_ps(least), _CMP_GE_OQ);
}
// Numbers p[4 * i + j] in lane i.
PAGODA_INLINE V every_fourth(const float* p, int j) {
  const __m512i steps = _mm512_set_epi32(28, 24, 20, 16, 12, 8, 4, 0, 28, 24, 20, 16, 12, 8, 4, 0);
  const __m512i at = _mm512_add_epi32(steps, _mm512_set1_epi32(j));
  const __m512 low = _mm512_permutex2var_ps(_mm512_loadu_ps(p), at, _mm512_loadu_ps(p + 16));
  const __m512 high = _mm512_permutex2var_ps(_mm512_loadu_ps(p + 32), at, _mm512_loadu_ps(p + 48));
  return {_mm512_mask_blend_ps(0xFF00, low, high)};
}
#elif defined(__AVX2__)
PAGODA_INLINE __m256i high_of(__m256i even, __m256i odd) {
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}
PAGODA_INLINE __m256i low_of(__m256i even, __m256i odd) {
  return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
PAGODA_INLINE Wide multiply(I a, uint32_t factor) {
  const __m256i f = _mm256_set1_epi32(static_cast<int>(factor));
  const __m256i even0 = _mm256_mul_epu32(a.lo, f), odd0 = _mm256_mul_epu32(_mm256_srli_epi64(a.lo, 32), f);
  const __m256i even1 = _mm256_mul_epu32(a.hi, f), odd1 = _mm256_mul_epu32(_mm256_srli_epi64(a.hi, 32), f);
  return {{high_of(even0, odd0), high_of(even1, odd1)}, {low_of(even0, odd0), low_of(even1, odd1)}};
}
PAGODA_INLINE I exclusive_or(I a, I b) {
  return {_mm256_xor_si256(a.lo, b.lo), _mm256_xor_si256(a.hi, b.hi)};
}
PAGODA_INLINE I plus(I a, I b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
PAGODA_INLINE uint32_t greater_equal(V a, float least) {
  const __m256 edge = _mm256_set1_ps(least);
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.lo, edge, _CMP_GE_OQ)) |
                               _mm256_movemask_ps(_mm256_cmp_ps(a.hi, edge, _CMP_GE_OQ)) << 8);
}
PAGODA_INLINE uint32_t may_win(I upper, V bound, V logit, float least) {
  // Without the lowest bit a number is signed; what is compared becomes no larger.
  const __m256 unit = _mm256_set1_ps(0x1p-31f);
  const __m256 low = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(upper.lo, 1)), unit);
  const __m256 high = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_srli_epi32(upper.hi, 1)), unit);
  const int below = _mm256_movemask_ps(_mm256_cmp_ps(low, bound.lo, _CMP_LE_OQ)) |
                    _mm256_movemask_ps(_mm256_cmp_ps(high, bound.hi, _CMP_LE_OQ)) << 8;
  return static_cast<uint32_t>(below) & greater_equal(logit, least);
}
PAGODA_INLINE V every_fourth(const float* p, int j) {
  const __m256i steps = _mm256_set_epi32(28, 24, 20, 16, 12, 8, 4, 0);
  return {_mm256_i32gather_ps(p + j, steps, 4), _mm256_i32gather_ps(p + 32 + j, steps, 4)};
}
#else
PAGODA_INLINE Wide multiply(I a, uint32_t factor) {
  Wide out;
  for (int i = 0; i < 16; ++i) {
    const uint64_t product = static_cast<uint64_t>(a.lane[i]) * factor;
    out.high.lane[i] = static_cast<uint32_t>(product >> 32);
    out.low.lane[i] = static_cast<uint32_t>(product);
  }
  return out;
}
PAGODA_INLINE I exclusive_or(I a, I b) {
  return each_word([&](int i) { return a.lane[i] ^ b.lane[i]; });
}
PAGODA_INLINE I plus(I a, I b) {
  return each_word([&](int i) { return a.lane[i] + b.lane[i]; });
}
PAGODA_INLINE uint32_t greater_equal(V a, float least) {
  uint32_t mask = 0;
  for (int i = 0; i < 16; ++i) mask |= static_cast<uint32_t>(a.lane[i] >= least) << i;
  return mask;
}
PAGODA_INLINE uint32_t may_win(I upper, V bound, V logit, float least) {
  uint32_t mask = 0;
  for (int i = 0; i < 16; ++i)
    mask |= static_cast<uint32_t>(static_cast<float>(upper.lane[i]) * 0x1p-32f <= bound.lane[i]) << i;
  return mask & greater_equal(logit, least);
}
PAGODA_INLINE V every_fourth(const float* p, int j) {
  return each([&](int i) { return p[4 * i + j]; });
}
#endif

// philox4x32 (base/rng.h) of 16 counters.
struct Words {
  I word[4];
};
PAGODA_INLINE Words philox(I first, uint32_t second, uint32_t key0, uint32_t key1) {
  I a = first, b = broadcast_word(second), c = broadcast_word(0), d = broadcast_word(0);
  for (int round = 0; round < 10; ++round) {
    const Wide x = multiply(a, 0xD2511F53u), y = multiply(c, 0xCD9E8D57u);
    a = exclusive_or(exclusive_or(y.high, b), broadcast_word(key0));
    c = exclusive_or(exclusive_or(x.high, d), broadcast_word(key1));
    b = y.low;
    d = x.low;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{a, b, c, d}};
}

// The scan of ops/host_rows.h, from token `scan->begin` on, a multiple of 64.
static bool scan(NoiseScan* scan) {
  alignas(64) static const uint32_t kCount[kLanes] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  // A bound on e^(logit - best) with room for what is rounded on the way.
  const float factor = attn::kLog2E;
  const V offset = broadcast(-scan->best * factor), room = broadcast(1.0005f);
  for (; scan->begin < scan->count; scan->begin += kNoiseBlock) {
    const float* logits = scan->logits + scan->begin;
    float last[kNoiseBlock];
    if (scan->count - scan->begin < kNoiseBlock) {  // behind the end nothing can win
      for (int64_t i = 0; i < kNoiseBlock; ++i)
        last[i] = scan->begin + i < scan->count ? logits[i] : -__builtin_inff();
      logits = last;
    }
    uint32_t kept = 0;
    for (int j = 0; j < 4; ++j) kept |= greater_equal(load(logits + j * kLanes), scan->least);
    if (kept == 0) continue;
    const Words words =
        philox(plus(load_word16(kCount), broadcast_word(static_cast<uint32_t>(scan->begin / 4))), scan->index,
               scan->key0, scan->key1);
    uint64_t found = 0;
    for (int j = 0; j < 4; ++j) {
      const V logit = every_fourth(logits, j);
      const V power = min(broadcast(1.0f), fma(logit, broadcast(factor), offset));
      const uint32_t lanes = may_win(words.word[j], mul(attn::exp2<true>(power), room), logit, scan->least);
      if (lanes == 0) continue;
      alignas(64) uint32_t upper[kLanes];
      store_word16(upper, words.word[j]);
      for (int i = 0; i < kLanes; ++i) {
        if ((lanes >> i & 1) == 0) continue;
        found |= uint64_t{1} << (4 * i + j);
        scan->upper[4 * i + j] = upper[i];
      }
    }
    if (found == 0) continue;
    scan->found = found;
    return true;
  }
  return false;
}

}  // namespace noise

constexpr NoiseKernels kNoiseKernels = {noise::scan};

}  // namespace
}  // namespace pagoda::cpu
