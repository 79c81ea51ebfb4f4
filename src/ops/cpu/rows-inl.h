// Kernels that work on one row at a time. Included after one of the vec_*-inl.h and exp-inl.h, by kernel
// files only.
#pragma once

namespace pagoda::cpu {
namespace {

static void rms_norm(float* y, const float* x, const float* weight, float eps, int64_t count) {
  V squares = zero();
  const int64_t whole = count / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) squares = fma(load(x + i), load(x + i), squares);
  if (whole < count) {
    V a = load_n(x + whole, count - whole);
    squares = fma(a, a, squares);
  }
  V factor = broadcast(1.0f / sqrt1(sum_lanes(squares) / static_cast<float>(count) + eps));
  for (int64_t i = 0; i < whole; i += kLanes) store(y + i, mul(mul(load(x + i), factor), load(weight + i)));
  for (int64_t i = whole; i < count; i += kLanes)
    store_n(y + i, mul(mul(load_n(x + i, count - i), factor), load_n(weight + i, count - i)), count - i);
}

PAGODA_INLINE V silu(V v) {
  return div(v, add(broadcast(1.0f), exp(sub(zero(), v))));
}

// The tanh form of Hendrycks and Gimpel (2016): v (1 + tanh z) / 2 = v / (1 + e^-2z), with
// z = sqrt(2 / pi) (v + 0.044715 v^3).
PAGODA_INLINE V gelu_tanh(V v) {
  constexpr float kMinusTwice = -2 * 0.797884560802865f;
  V inner = fma(mul(mul(v, v), v), broadcast(0.044715f), v);
  return div(v, add(broadcast(1.0f), exp(mul(inner, broadcast(kMinusTwice)))));
}

// tanh(x / cap) * cap, with tanh(z) = 1 - 2 / (e^2z + 1): absolute error about 1e-7 * cap.
PAGODA_INLINE V soft_cap(V x, float cap) {
  V doubled = mul(div(x, broadcast(cap)), broadcast(2.0f));
  V tanh = sub(broadcast(1.0f), div(broadcast(2.0f), add(exp(doubled), broadcast(1.0f))));
  return mul(tanh, broadcast(cap));
}

static void soft_cap_row(float* x, float cap, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    store_n(x + i, soft_cap(load_n(x + i, count - i), cap), count - i);
}

static void add_scaled(float* y, const float* x, float factor, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    store_n(y + i, fma(load_n(x + i, count - i), broadcast(factor), load_n(y + i, count - i)), count - i);
}

static void rope(float* head, const float* cos, const float* sin, int64_t half) {
  for (int64_t i = 0; i < half; i += kLanes) {
    V a = load_n(head + i, half - i), b = load_n(head + half + i, half - i);
    V c = load_n(cos + i, half - i), s = load_n(sin + i, half - i);
    store_n(head + i, sub(mul(a, c), mul(b, s)), half - i);
    store_n(head + half + i, add(mul(b, c), mul(a, s)), half - i);
  }
}

static void exp_row(float* y, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) store_n(y + i, exp(load_n(x + i, count - i)), count - i);
}

static float maximum(const float* x, int64_t count, int64_t* begin, bool* is_finite) {
  constexpr int64_t kStretch = 1024;
  const V least = broadcast(-3.402823466e38f);
  float best = -__builtin_inff();
  V bad = zero();
  *begin = 0;
  for (int64_t first = 0; first < count; first += kStretch) {
    const int64_t end = first + kStretch < count ? first + kStretch : count;
    V high = broadcast(-__builtin_inff());
    for (int64_t i = first; i < end; i += kLanes) {
      V v = load_n(x + i, end - i);
      if (end - i < kLanes) v = select_range(v, broadcast(-__builtin_inff()), 0, end - i);
      bad = fma(max(least, v), zero(), bad);  // NaN for NaN and +infinity
      high = max(high, v);
    }
    const float found = max_lanes(high);
    if (found > best) best = found, *begin = first;
  }
  *is_finite = sum_lanes(bad) == 0;
  return best;
}

static void shift_and_divide(float* y, const float* x, float by, float divisor, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes)
    store_n(y + i, div(sub(load_n(x + i, count - i), broadcast(by)), broadcast(divisor)), count - i);
}

static void narrow(uint16_t* y, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    V v = load_n(x + i, count - i);
    if (count - i >= kLanes) {
      store(reinterpret_cast<Bf16*>(y + i), v);
      continue;
    }
    Bf16 lane[kLanes];
    store(lane, v);
    for (int64_t j = i; j < count; ++j) y[j] = lane[j - i].bits;
    if (count % 2 != 0) y[count] = 0;  // the other half of the last word
  }
}

PAGODA_INLINE V scaled(const float* x, const float* factor, int64_t i, int64_t count) {
  V v = load_n(x + i, count - i);
  return factor == nullptr ? v : mul(v, load_n(factor + i, count - i));
}
PAGODA_INLINE V scaled(const float* x, const float* factor, int64_t i) {
  return factor == nullptr ? load(x + i) : mul(load(x + i), load(factor + i));
}
// Codes of the numbers [begin, end) and their sum; behind `count` they are 0.
PAGODA_INLINE int32_t codes_of(int8_t* y, const float* x, const float* factor, V inverse, int64_t begin,
                               int64_t end, int64_t count) {
  const I ones = broadcast_word(0x01010101u);
  I sum = broadcast_word(0);
  int64_t i = begin;
  auto code = [&](int64_t at) __attribute__((always_inline)) {
    return mul(scaled(x, factor, at), inverse);
  };
  for (; i + 4 * kLanes <= (end < count ? end : count); i += 4 * kLanes) {
    store_bytes(y + i, code(i), code(i + kLanes), code(i + 2 * kLanes), code(i + 3 * kLanes));
    sum = dot4(sum, ones, load_word16(y + i));
  }
  for (; i < end; i += kLanes) {
    alignas(64) int8_t lane[4 * kLanes] = {};
    store_bytes(lane, mul(scaled(x, factor, i, count), inverse));
    const int64_t width = end - i < kLanes ? end - i : kLanes;
    __builtin_memcpy(y + i, lane, static_cast<std::size_t>(width));
    sum = dot4(sum, ones, load_word16(lane));
  }
  alignas(64) int32_t part[kLanes];
  store_word16(part, sum);
  int32_t total = 0;
  for (int32_t number : part) total += number;
  return total;
}
static float quantize(int8_t* y, int32_t* offset_sums, int32_t offset, const float* x, const float* factor,
                      int64_t count, int64_t padded, int64_t group) {
  V high = zero(), bad = zero();
  auto check = [&](V v) __attribute__((always_inline)) {
    high = max(abs(v), high);
    bad = fma(v, zero(), bad);  // NaN as soon as a number is not finite
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) check(scaled(x, factor, i));
  if (i < count) check(scaled(x, factor, i, count));
  constexpr float kTiny = 1e-30f;  // a row of nothing; its inverse would not be finite
  const float largest = max_lanes(high), inverse = largest < kTiny ? 0.0f : 127.0f / largest;
  for (int64_t begin = 0; begin < padded; begin += group) {
    const int64_t end = begin + group < padded ? begin + group : padded;
    offset_sums[begin / group] = offset * codes_of(y, x, factor, broadcast(inverse), begin, end, count);
  }
  return largest / 127.0f + sum_lanes(bad);
}

constexpr RowKernels kRowKernels = {rms_norm, rope,     exp_row,      maximum,   shift_and_divide,
                                    narrow,   quantize, soft_cap_row, add_scaled};

}  // namespace
}  // namespace pagoda::cpu
