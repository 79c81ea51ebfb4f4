// Kernels that work on one row at a time. Included after one of the vec_*.h and exp.h, by kernel files only.
#pragma once

namespace pagoda::cpu {
namespace {

static void rms_norm(float* y, const float* x, const float* weight, float eps, int64_t count) {
  V squares = zero();
  for (int64_t i = 0; i < count; i += kLanes) {
    V a = load_n(x + i, count - i);
    squares = fma(a, a, squares);
  }
  V factor = broadcast(1.0f / sqrt1(sum_lanes(squares) / static_cast<float>(count) + eps));
  for (int64_t i = 0; i < count; i += kLanes)
    store_n(y + i, mul(mul(load_n(x + i, count - i), factor), load_n(weight + i, count - i)), count - i);
}

static void silu_mul(float* y, const float* gate, const float* up, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    V v = load_n(gate + i, count - i);
    V silu = div(v, add(broadcast(1.0f), exp(sub(zero(), v))));
    store_n(y + i, mul(silu, load_n(up + i, count - i)), count - i);
  }
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

constexpr RowKernels kRowKernels = {rms_norm, silu_mul, rope, exp_row};

}  // namespace
}  // namespace pagoda::cpu
