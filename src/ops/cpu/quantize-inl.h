// Quantization of weights. Included after one of the vec_*-inl.h and exp-inl.h, by kernel files only. Every
// function is a fixed sequence of rounded operations: the same codes on every instruction set.
#pragma once

namespace pagoda::cpu {
namespace {

// `in` has any alignment: files do not care.
template <class T>
static void widen_of(float* out, const void* in, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t width = count - i < kLanes ? count - i : kLanes;
    T lane[kLanes] = {};
    const char* from = static_cast<const char*>(in) + i * static_cast<int64_t>(sizeof(T));
    if (width == kLanes)
      __builtin_memcpy(lane, from, sizeof lane);
    else
      __builtin_memcpy(lane, from, static_cast<std::size_t>(width) * sizeof(T));
    store_n(out + i, load(lane), width);
  }
}
static void widen(Elem elem, float* out, const void* in, int64_t count) {
  switch (elem) {
    case Elem::kF32:
      return widen_of<float>(out, in, count);
    case Elem::kBF16:
      return widen_of<Bf16>(out, in, count);
    case Elem::kF16:
      return widen_of<F16>(out, in, count);
  }
}

static void add_squares(float* sums, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    V v = load_n(x + i, count - i);
    store_n(sums + i, fma(v, v, load_n(sums + i, count - i)), count - i);
  }
}
static void scale(float* x, const float* factor, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    store_n(x + i, mul(load_n(x + i, count - i), load_n(factor + i, count - i)), count - i);
}

PAGODA_INLINE V nearest(V a) {  // |a| < 2^22
  return sub(add(a, broadcast(kRoundMagic)), broadcast(kRoundMagic));
}
PAGODA_INLINE V clamp(V a, float low, float high) {
  return min(broadcast(high), max(broadcast(low), a));
}
// What [low, high] holds of x in steps of `step`, as multiples of it.
PAGODA_INLINE V codes_of(V x, V inverse, float low, float high) {
  return nearest(clamp(mul(x, inverse), low, high));
}
static float squared_error(const float* x, int64_t count, float step, float low, float high) {
  V sum = zero();
  const V inverse = broadcast(1.0f / step);
  for (int64_t i = 0; i < count; i += kLanes) {
    V v = load_n(x + i, count - i), miss = sub(mul(codes_of(v, inverse, low, high), broadcast(step)), v);
    sum = fma(miss, miss, sum);
  }
  return sum_lanes(sum);
}

struct Range {
  float low, high;
};
static Range range_of(const float* x, int64_t count) {
  V low = zero(), high = zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    V v = load_n(x + i, count - i);
    low = max(sub(zero(), v), low);
    high = max(v, high);
  }
  return {-max_lanes(low), max_lanes(high)};
}
constexpr float kTinyStep = 6e-8f;  // the least float16

static float to_int8(uint8_t* codes, const float* x, int64_t count) {
  const Range range = range_of(x, count);
  const float largest = -range.low > range.high ? -range.low : range.high;
  float best = 0, least = __builtin_inff();
  constexpr float kShares[] = {1.0f, 0.94f, 0.88f, 0.8f, 0.7f};
  for (float share : kShares) {
    const float step = largest * share / 127.0f;
    if (!(step > 1e-37f)) break;
    const float error = squared_error(x, count, step, -127, 127);
    if (error < least) least = error, best = step;
  }
  const V inverse = broadcast(best == 0 ? 0.0f : 1.0f / best);
  for (int64_t i = 0; i < count; i += kLanes) {
    int8_t lane[kLanes];
    store_bytes(lane, codes_of(load_n(x + i, count - i), inverse, -127, 127));
    for (int64_t j = 0; j < kLanes && i + j < count; ++j) codes[i + j] = static_cast<uint8_t>(lane[j] + 128);
  }
  return best;
}

PAGODA_INLINE float as_f16(float x, uint16_t* bits) {
  F16 lane[kLanes];
  float wide[kLanes];
  store(lane, broadcast(x));
  store(wide, load(lane));
  *bits = lane[0].bits;
  return wide[0];
}

static void to_int4(uint8_t* codes, uint16_t* scale_bits, uint8_t* zero_point, const float* x, int64_t count,
                    bool zeros) {
  const Range range = range_of(x, count);
  float best = 0, least = __builtin_inff(), best_zero = 8;
  uint16_t best_bits = 0;
  auto attempt = [&](float step, float zero_code) {
    uint16_t bits;
    step = as_f16(step, &bits);
    const float size = step < 0 ? -step : step;
    if (!(size >= kTinyStep) || size > 65504.0f) return;
    const float error = squared_error(x, count, step, -zero_code, 15 - zero_code);
    if (error < least) least = error, best = step, best_bits = bits, best_zero = zero_code;
  };
  if (zeros) {
    constexpr float kShares[] = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.72f};
    for (float share : kShares) {
      const float step = (range.high - range.low) * share / 15.0f;
      if (!(step >= kTinyStep)) break;
      float zero_code = -range.low * share / step + 0.5f;
      zero_code = static_cast<float>(static_cast<int>(zero_code > 15 ? 15 : zero_code));
      attempt(step, zero_code);
    }
  } else {
    // Codes reach from -8 to 7: the side with the greatest weight gets the 8.
    const float largest = -range.low > range.high ? range.low : range.high;
    constexpr float kSteps[] = {8.0f, 7.5f, 8.5f, 7.0f, 9.2f, 10.0f, 11.5f};
    for (float steps : kSteps) attempt(-largest / steps, 8);
  }
  *scale_bits = best_bits;
  *zero_point = static_cast<uint8_t>(best_zero);
  const V inverse = broadcast(best == 0 ? 0.0f : 1.0f / best);
  for (int64_t i = 0; i < count; i += kLanes) {
    V code = add(codes_of(load(x + i), inverse, -best_zero, 15 - best_zero), broadcast(best_zero));
    store_bytes(reinterpret_cast<int8_t*>(codes) + i, code);
  }
}

constexpr QuantizeKernels kQuantizeKernels = {widen, add_squares, scale, to_int8, to_int4};

}  // namespace
}  // namespace pagoda::cpu
