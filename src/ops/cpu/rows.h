// Kernels that work on one row at a time. Included after one of the vec_*.h and exp.h, by kernel files only.
#pragma once

namespace pagoda::cpu {
namespace {

template <class T>
static void gather_of(float* out, const T* src, int64_t stride, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes) {
    int64_t width = count - i < kLanes ? count - i : kLanes;
    T lane[kLanes] = {};
    for (int64_t j = 0; j < width; ++j) lane[j] = src[(i + j) * stride];
    store_n(out + i, load(lane), width);
  }
}
static void gather(Elem elem, float* out, const void* src, int64_t stride, int64_t count) {
  switch (elem) {
    case Elem::kF32:
      return gather_of(out, static_cast<const float*>(src), stride, count);
    case Elem::kBF16:
      return gather_of(out, static_cast<const Bf16*>(src), stride, count);
    case Elem::kF16:
      return gather_of(out, static_cast<const F16*>(src), stride, count);
  }
}

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

template <class T>
static void kv_store_of(const KvStoreTask& task) {
  const int64_t dim = task.head_dim, padded = round_up_lanes(dim);
  const int64_t block = task.slot / task.block_size, token = task.slot % task.block_size;
  for (int64_t head = 0; head < task.num_kv_heads; ++head) {
    const int64_t base = block * task.block_stride + head * task.head_stride;
    T* k = static_cast<T*>(task.k) + base + token / kLanes * dim * kLanes + token % kLanes;
    T* v = static_cast<T*>(task.v) + base + token * padded;
    for (int64_t i = 0; i < dim; i += kLanes) {
      T lane[kLanes];
      store(lane, load_n(task.key + head * dim + i, dim - i));
      for (int64_t j = 0; j < kLanes && i + j < dim; ++j) k[(i + j) * kLanes] = lane[j];
      store(v + i, load_n(task.value + head * dim + i, dim - i));
    }
  }
}
static void kv_store(const KvStoreTask& task) {
  switch (task.elem) {
    case Elem::kF32:
      return kv_store_of<float>(task);
    case Elem::kBF16:
      return kv_store_of<Bf16>(task);
    case Elem::kF16:
      return kv_store_of<F16>(task);
  }
}

}  // namespace
}  // namespace pagoda::cpu
