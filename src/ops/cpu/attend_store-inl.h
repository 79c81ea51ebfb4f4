// Writing a token's K and V to its place in the cache. Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

// One head of one token: where its panel begins, its place in it, and the numbers.
struct StoredToken {
  char* panel;
  int64_t token, dim, v_offset, scale_offset;
  const float* key;
  const float* value;
};

template <class T>
static void store_floats(const StoredToken& t) {
  T* k = reinterpret_cast<T*>(t.panel) + t.token;
  T* v = reinterpret_cast<T*>(t.panel + t.v_offset) + t.token * round_up_lanes(t.dim);
  for (int64_t i = 0; i < t.dim; i += kLanes) {
    T lane[kLanes];
    store(lane, load_n(t.key + i, t.dim - i));
    for (int64_t j = 0; j < kLanes && i + j < t.dim; ++j) k[(i + j) * kLanes] = lane[j];
    store(v + i, load_n(t.value + i, t.dim - i));
  }
}

static void store_bf16(const StoredToken& t) {
  auto* k = reinterpret_cast<uint32_t*>(t.panel) + t.token;
  auto* v = reinterpret_cast<uint16_t*>(t.panel + t.v_offset) + t.token / 2 * round_up_lanes(t.dim) * 2 +
            t.token % 2;
  for (int64_t i = 0; i < t.dim; i += kLanes) {
    alignas(64) uint32_t words[kLanes];
    store_bf16_pairs(words, without_tiny(load_n(t.key + i, t.dim - i)),
                     without_tiny(load_n(t.value + i, t.dim - i)));
    for (int64_t j = 0; j < kLanes / 2 && i + 2 * j < t.dim; ++j) k[(i / 2 + j) * kLanes] = words[j];
    store_apart<2>(v + 2 * i, reinterpret_cast<const uint16_t*>(words + kLanes / 2));
  }
}

// The scale of a row that becomes bytes; 0 if it is all (as good as) zero, NaN if something is not finite.
PAGODA_INLINE float byte_scale(const float* row, int64_t dim, float most_code) {
  V most = zero(), poison = zero();
  for (int64_t i = 0; i < dim; i += kLanes) {
    const V x = load_n(row + i, dim - i);
    most = max(most, abs(x));
    poison = fma(x, zero(), poison);
  }
  const float peak = max_lanes(most);
  return (peak < 1e-30f ? 0.0f : peak / most_code) + sum_lanes(poison);
}

// What a token's numbers are multiplied by to become codes.
struct ByteSteps {
  V key, value;
};
PAGODA_INLINE ByteSteps store_scales(const StoredToken& t, float most_code) {
  const float k_scale = byte_scale(t.key, t.dim, most_code), v_scale = byte_scale(t.value, t.dim, most_code);
  auto* scales = reinterpret_cast<float*>(t.panel + t.scale_offset) + t.token;
  // Codes do not say NaN: a token that is not finite has a score of NaN.
  scales[0] = k_scale + (v_scale - v_scale);
  scales[kLanes] = v_scale;
  return {broadcast(k_scale > 0 ? 1 / k_scale : 0.0f), broadcast(v_scale > 0 ? 1 / v_scale : 0.0f)};
}

static void store_int8(const StoredToken& t) {
  const ByteSteps to_codes = store_scales(t, 127);
  auto* k = reinterpret_cast<uint32_t*>(t.panel) + t.token;
  auto* v = reinterpret_cast<uint8_t*>(t.panel + t.v_offset) + t.token / 4 * round_up_lanes(t.dim) * 4 +
            t.token % 4;
  // |x / scale| is 127 at most, but for the rounding of the quotient.
  const V most = broadcast(127.0f), least_byte = broadcast(-127.0f);
  auto bytes_of = [&](const float* row, int64_t i, V steps) __attribute__((always_inline)) {
    return max(least_byte, min(most, mul(load_n(row + i, t.dim - i), steps)));
  };
  for (int64_t i = 0; i < t.dim; i += kLanes) {
    alignas(16) uint32_t words[8];
    store_bytes(reinterpret_cast<int8_t*>(words), bytes_of(t.key, i, to_codes.key));
    store_bytes(reinterpret_cast<int8_t*>(words + 4), bytes_of(t.value, i, to_codes.value));
    for (int64_t j = 0; j < kLanes / 4 && i + 4 * j < t.dim; ++j)
      k[(i / 4 + j) * kLanes] = words[j] ^ 0x80808080u;
    store_apart<4>(v + 4 * i, reinterpret_cast<const uint8_t*>(words + 4));
  }
}

static void store_fp8(const StoredToken& t) {
  const ByteSteps to_codes = store_scales(t, 448);
  auto* k = reinterpret_cast<uint32_t*>(t.panel) + t.token;
  auto* v = reinterpret_cast<uint8_t*>(t.panel + t.v_offset) + t.token / 4 * round_up_lanes(t.dim) * 4 +
            kv_place(KvFormat::kFp8, t.token);
  for (int64_t i = 0; i < t.dim; i += kLanes) {
    alignas(16) uint32_t words[8];
    store_e4m3(reinterpret_cast<uint8_t*>(words), mul(load_n(t.key + i, t.dim - i), to_codes.key));
    store_e4m3(reinterpret_cast<uint8_t*>(words + 4), mul(load_n(t.value + i, t.dim - i), to_codes.value));
    for (int64_t j = 0; j < kLanes / 4 && i + 4 * j < t.dim; ++j) {
      const uint32_t cell = words[j];  // its dims as 0, 2, 1, 3
      k[(i / 4 + j) * kLanes] = (cell & 0xFF0000FFu) | (cell & 0xFF00u) << 8 | (cell >> 8 & 0xFF00u);
    }
    store_apart<4>(v + 4 * i, reinterpret_cast<const uint8_t*>(words + 4));
  }
}

static void kv_store(const KvStoreTask& task) {
  const int64_t block = task.slot / task.block_size, token = task.slot % task.block_size;
  char* panel = task.cache + block * task.block_stride + token / kLanes * task.layout.panel_bytes;
  for (int64_t head = 0; head < task.num_kv_heads; ++head, panel += task.layout.head_bytes) {
    const StoredToken stored = {panel,
                                token % kLanes,
                                task.head_dim,
                                task.layout.v_offset,
                                task.layout.scale_offset,
                                task.key + head * task.head_dim,
                                task.value + head * task.head_dim};
    switch (task.format) {
      case KvFormat::kF32:
        store_floats<float>(stored);
        break;
      case KvFormat::kF16:
        store_floats<F16>(stored);
        break;
      case KvFormat::kBF16:
        store_bf16(stored);
        break;
      case KvFormat::kInt8:
        store_int8(stored);
        break;
      case KvFormat::kFp8:
        store_fp8(stored);
        break;
    }
  }
}

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
