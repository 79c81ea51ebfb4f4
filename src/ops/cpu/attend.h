// Attention over the paged cache. Included after one of the vec_*.h, exp.h and gemm.h, by kernel files only.
//
// Online softmax (Milakov & Gimelshein 2018; Dao et al., "FlashAttention", 2022) over tiles of 64 keys at
// absolute multiples of 64, gathered in partitions of 512 keys at absolute multiples of 512. What happens to
// one row depends on that row's query and position alone: a row steps through exactly the tiles in which it
// sees a key, and within the last one its sum over V ends with its own last key, so that nothing later in the
// cache, be it NaN, can reach it.
#pragma once

namespace pagoda::cpu {
namespace {

constexpr float kMinusInf = -__builtin_inff();

struct KeyRange {
  int64_t begin, end;
};
PAGODA_INLINE int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}
PAGODA_INLINE int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
PAGODA_INLINE bool operator==(KeyRange a, KeyRange b) {
  return a.begin == b.begin && a.end == b.end;
}

// The keys of [begin, end) that query number `query` of the task sees.
PAGODA_INLINE KeyRange visible(const AttnTask& task, int64_t query, int64_t begin, int64_t end) {
  int64_t position = task.first_position + query;
  int64_t first = task.window > 0 ? at_least(0, position - task.window + 1) : 0;
  return {at_least(first, begin), at_most(position + 1, end)};
}

// One state: per row [sum of V: head_dim rounded up][sum of weights: 16 lanes][maximum in the first of 16].
struct State {
  float* data;
  int64_t stride, padded;
  State(const AttnTask& task, float* data_in)
      : data(data_in), stride(attn_state_stride(task.head_dim)), padded(round_up_lanes(task.head_dim)) {}
  float* values(int64_t row) const { return data + row * stride; }
  float* weights(int64_t row) const { return data + row * stride + padded; }
  float& maximum(int64_t row) const { return data[row * stride + padded + kLanes]; }
};
PAGODA_INLINE void scale_values(float* values, int64_t count, V factor) {
  for (int64_t i = 0; i < count; i += kLanes) store(values + i, mul(load(values + i), factor));
}

static void attn_reset(const AttnTask& task, float* data) {
  State state(task, data);
  for (int64_t row = 0; row < int64_t{task.num_queries} * task.group; ++row) {
    for (int64_t i = 0; i < state.stride; i += kLanes) store(state.values(row) + i, zero());
    state.maximum(row) = kMinusInf;
  }
}

// Where the 16 keys from `key` on lie; copied together where blocks do not hold whole panels. Keys from `end`
// on are not looked up.
template <class T>
static const T* key_panel(const AttnTask& task, int64_t key, int64_t end, T* copy) {
  const T* base = static_cast<const T*>(task.k);
  const int64_t size = task.block_size, dim = task.head_dim;
  if (size % kLanes == 0) return base + task.block_table[key / size] * task.block_stride + key % size * dim;
  for (int64_t i = 0; i < kLanes && key + i < end; ++i) {
    const int64_t offset = (key + i) % size;
    const T* src =
        base + task.block_table[(key + i) / size] * task.block_stride + offset / kLanes * dim * kLanes;
    for (int64_t d = 0; d < dim; ++d) copy[d * kLanes + i] = src[d * kLanes + offset % kLanes];
  }
  return copy;
}

// tanh(x / cap) * cap, with tanh(z) = 1 - 2 / (e^2z + 1): absolute error about 1e-7 * cap.
PAGODA_INLINE V soft_cap(V x, float cap) {
  V doubled = mul(div(x, broadcast(cap)), broadcast(2.0f));
  V tanh = sub(broadcast(1.0f), div(broadcast(2.0f), add(exp(doubled), broadcast(1.0f))));
  return mul(tanh, broadcast(cap));
}

// Turns a row's products with the keys [tile, tile + 64) into weights, rescaling the row's state where its
// maximum grew.
static void softmax_row(const AttnTask& task, const State& state, int64_t row, float* scores, KeyRange keys,
                        int64_t tile) {
  const int64_t first = (keys.begin - tile) / kLanes, last = (keys.end - tile + kLanes - 1) / kLanes;
  V high = broadcast(kMinusInf);
  for (int64_t p = first; p < last; ++p) {
    V score = mul(load(scores + p * kLanes), broadcast(task.scale));
    if (task.softcap > 0) score = soft_cap(score, task.softcap);
    score = select_range(score, broadcast(kMinusInf), keys.begin - tile - p * kLanes,
                         keys.end - tile - p * kLanes);
    store(scores + p * kLanes, score);
    high = max(high, score);
  }
  const float old = state.maximum(row), found = max_lanes(high), next = old > found ? old : found;
  const float center = next == kMinusInf ? 0.0f : next;
  V sum = load(state.weights(row));
  if (next != old) {
    V factor = exp(broadcast(old - center));
    sum = mul(sum, factor);
    scale_values(state.values(row), state.padded, factor);
    state.maximum(row) = next;
  }
  for (int64_t p = first; p < last; ++p) {
    V weight = exp(sub(load(scores + p * kLanes), broadcast(center)));
    store(scores + p * kLanes, weight);
    sum = add(sum, weight);
  }
  store(state.weights(row), sum);
}

// state += weights[rows][key - tile] * V[key], keys ascending, a run per block.
template <class T>
static void add_values(const AttnTask& task, const State& state, int64_t row, int64_t rows,
                       const float* scores, KeyRange keys, int64_t tile) {
  const int64_t num_panels = state.padded / kLanes;
  for (int64_t key = keys.begin, count; key < keys.end; key += count) {
    const int64_t offset = key % task.block_size;
    count = at_most(keys.end - key, task.block_size - offset);
    const T* v = static_cast<const T*>(task.v) + task.block_table[key / task.block_size] * task.block_stride +
                 offset * state.padded;
    const T* panels[kMaxHeadDim / kLanes];
    for (int64_t p = 0; p < num_panels; ++p) panels[p] = v + p * kLanes;
    product(scores + row * kKeyTile + key - tile, kKeyTile, rows, panels, num_panels, state.padded, count,
            state.values(row), state.stride, false);
  }
}

// Asks for K and V of the keys [begin, end). A head's share of a block is too short a run for the hardware to
// see a stream.
template <class T>
static void prefetch_keys(const AttnTask& task, int64_t begin, int64_t end) {
  const int64_t size = task.block_size, padded = round_up_lanes(task.head_dim);
  for (int64_t key = begin, count; key < end; key += count) {
    const int64_t block = task.block_table[key / size] * task.block_stride, offset = key % size;
    count = at_most(end - key, size - offset);
    const char* k =
        reinterpret_cast<const char*>(static_cast<const T*>(task.k) + block + offset * task.head_dim);
    const char* v = reinterpret_cast<const char*>(static_cast<const T*>(task.v) + block + offset * padded);
    for (int64_t i = 0; i < count * padded * static_cast<int64_t>(sizeof(T)); i += 64) {
      __builtin_prefetch(k + i);
      __builtin_prefetch(v + i);
    }
  }
}

template <class T>
static void attend_tile(const AttnTask& task, const State& state, const float* q, float* scores, T* copies,
                        int64_t tile) {
  const int64_t end = tile + kKeyTile;
  int64_t first = 0, last = task.num_queries;  // the queries that see a key of this tile are consecutive
  auto sees = [&](int64_t query) {
    KeyRange keys = visible(task, query, tile, end);
    return keys.begin < keys.end;
  };
  while (first < last && !sees(first)) ++first;
  while (last > first && !sees(last - 1)) --last;
  if (first == last) return;

  const int64_t panel_begin = (visible(task, first, tile, end).begin - tile) / kLanes;
  const int64_t key_end = visible(task, last - 1, tile, end).end;
  const int64_t panel_end = (key_end - tile + kLanes - 1) / kLanes;
  const T* panels[kKeyTile / kLanes];
  for (int64_t p = panel_begin; p < panel_end; ++p)
    panels[p] = key_panel(task, tile + p * kLanes, key_end, copies + p * kLanes * task.head_dim);
  product(q + first * task.group * task.head_dim, task.head_dim, (last - first) * task.group,
          panels + panel_begin, panel_end - panel_begin, kLanes, task.head_dim,
          scores + first * task.group * kKeyTile + panel_begin * kLanes, kKeyTile, true);

  for (int64_t query = first, next; query < last; query = next) {
    const KeyRange keys = visible(task, query, tile, end);
    for (next = query; next < last && visible(task, next, tile, end) == keys; ++next)
      for (int64_t row = next * task.group; row < (next + 1) * task.group; ++row)
        softmax_row(task, state, row, scores + row * kKeyTile, keys, tile);
    add_values<T>(task, state, query * task.group, (next - query) * task.group, scores, keys, tile);
  }
}

template <class T>
static void attend(const AttnTask& task, int64_t part, float* data) {
  const int64_t rows = int64_t{task.num_queries} * task.group, dim = task.head_dim;
  State state(task, data);
  attn_reset(task, data);
  float* q = static_cast<float*>(task.scratch);
  float* scores = q + rows * state.padded;
  T* copies = reinterpret_cast<T*>(scores + rows * kKeyTile);
  for (int64_t row = 0; row < rows; ++row) {
    const float* src = task.q + row / task.group * task.q_stride + row % task.group * dim;
    for (int64_t i = 0; i < dim; i += kLanes) store_n(q + row * dim + i, load_n(src + i, dim - i), dim - i);
  }
  const KeyRange first = visible(task, 0, 0, INT64_MAX),
                 last = visible(task, task.num_queries - 1, 0, INT64_MAX);
  const int64_t begin = at_least(first.begin / kKeyTile * kKeyTile, part * kPartition);
  const int64_t end = at_most(last.end, (part + 1) * kPartition);
  for (int64_t tile = begin; tile < end; tile += kKeyTile) {
    prefetch_keys<T>(task, tile + kKeyTile, at_most(tile + 2 * kKeyTile, last.end));
    attend_tile<T>(task, state, q, scores, copies, tile);
  }
  for (int64_t row = 0; row < rows; ++row) state.weights(row)[0] = sum_lanes(load(state.weights(row)));
}
static void attn_partition(const AttnTask& task, int64_t part, float* state) {
  switch (task.elem) {
    case Elem::kF32:
      return attend<float>(task, part, state);
    case Elem::kBF16:
      return attend<Bf16>(task, part, state);
    case Elem::kF16:
      return attend<F16>(task, part, state);
  }
}

// total = total and part, weighed against their common maximum. A part in which a row sees nothing leaves it
// as it was.
static void attn_merge(const AttnTask& task, float* total_data, const float* part_data) {
  State total(task, total_data), part(task, const_cast<float*>(part_data));
  for (int64_t row = 0; row < int64_t{task.num_queries} * task.group; ++row) {
    const float old = total.maximum(row), found = part.maximum(row);
    if (found == kMinusInf && part.weights(row)[0] == 0) continue;
    const float next = old > found ? old : found, center = next == kMinusInf ? 0.0f : next;
    V keep = exp(broadcast(old - center)), take = exp(broadcast(found - center));
    for (int64_t i = 0; i < total.padded + kLanes; i += kLanes) {
      float* to = total.values(row) + i;
      store(to, fma(load(to), keep, mul(load(part.values(row) + i), take)));
    }
    total.maximum(row) = next;
  }
}

static void attn_finish(const AttnTask& task, const float* data) {
  State total(task, const_cast<float*>(data));
  const int64_t dim = task.head_dim;
  for (int64_t row = 0; row < int64_t{task.num_queries} * task.group; ++row) {
    float* out = task.out + row / task.group * task.out_stride + row % task.group * dim;
    V sum = broadcast(total.weights(row)[0]);
    for (int64_t i = 0; i < dim; i += kLanes)
      store_n(out + i, div(load(total.values(row) + i), sum), dim - i);
  }
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

constexpr AttentionKernels kAttentionKernels = {kv_store, attn_reset, attn_partition, attn_merge,
                                                attn_finish};

}  // namespace
}  // namespace pagoda::cpu
