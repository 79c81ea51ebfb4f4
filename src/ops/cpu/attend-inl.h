// Attention over the paged cache. Included after one of the vec_*-inl.h and exp-inl.h, by kernel files only.
//
// Online softmax (Milakov & Gimelshein 2018; Dao et al., "FlashAttention", 2022) over tiles of 64 keys at
// absolute multiples of 64, gathered in partitions of 512 keys at absolute multiples of 512. What happens to
// one row depends on that row's query and position alone: it steps through exactly the tiles in which it sees
// a key. How a tile is worked through depends on the cache's format: attend_float-inl.h, attend_bf16-inl.h,
// attend_int8-inl.h, attend_fp8-inl.h.
#pragma once
// clang-format off
#include "ops/cpu/attend_lanes-inl.h"
#include "ops/cpu/attend_tile-inl.h"
#include "ops/cpu/attend_keys-inl.h"
#include "ops/cpu/attend_e4m3-inl.h"
#include "ops/cpu/attend_float-inl.h"
#include "ops/cpu/attend_bf16-inl.h"
#include "ops/cpu/attend_int8-inl.h"
#include "ops/cpu/attend_fp8-inl.h"
#include "ops/cpu/attend_store-inl.h"
// clang-format on

namespace pagoda::cpu {
namespace {
namespace attn {

// The queries of the task that see a key of the tile: consecutive ones.
PAGODA_INLINE KeyRange queries_of(const AttnTask& task, int64_t tile) {
  const int64_t first = max_i64(0, tile - task.first_position);
  int64_t last = task.num_queries;
  if (task.window > 0) last = min_i64(last, tile + kKeyTile - 1 + task.window - task.first_position);
  return {first, last};
}

template <class Cache>
static void partition_of(const AttnTask& task, int64_t part, float* data) {
  reset(task, data);
  const Work work = work_of(task);
  const int64_t begin_key = visible(task, 0, 0, INT64_MAX).begin;
  const int64_t end_key = visible(task, task.num_queries - 1, 0, INT64_MAX).end;
  const int64_t begin = max_i64(begin_key / kKeyTile * kKeyTile, part * kPartition);
  const int64_t end = min_i64(end_key, (part + 1) * kPartition);
  const int64_t head_floats = rows_of(task) * attn_state_stride(task.head_dim);
  const bool copied = task.block_size % kLanes != 0;
  // What some query sees of a tile; with more than one query and a window not all of them do.
  auto panels_of = [&](int64_t tile) {
    return find_panels<Cache::kFormat>(task, {max_i64(tile, begin_key), min_i64(tile + kKeyTile, end_key)},
                                       work.copies);
  };
  Panels panels, next;
  if (begin < end && !copied) next = panels_of(begin);
  for (int64_t tile = begin; tile < end; tile += kKeyTile) {
    panels = copied ? panels_of(tile) : next;
    if (!copied && tile + kKeyTile < end) next = panels_of(tile + kKeyTile);
    const KeyRange queries = queries_of(task, tile);
    if (queries.begin >= queries.end) continue;
    for (int64_t head = 0; head < task.num_heads; ++head) {
      const bool same = head + 1 < task.num_heads;
      Ahead ahead = {};
      for (int64_t p = 0; p < kTilePanelCount && !copied && task.prefetch_next; ++p)
        ahead.by[p] =
            same ? task.layout.head_bytes : next.at[p] - panels.at[p] - head * task.layout.head_bytes;
      Cache::tile(task, work, State(task, data + head * head_floats), panels, ahead, head, queries, tile);
    }
  }
  State state(task, data);
  for (int64_t row = 0; row < rows_of(task) * task.num_heads; ++row)
    state.weights(row)[0] = sum_lanes(load(state.weights(row)));
}

// f(the cache of the task's format).
template <class F>
PAGODA_INLINE void with_cache(const AttnTask& task, F f) {
  switch (task.format) {
    case KvFormat::kF32:
      return f(FloatCache<float, KvFormat::kF32>());
    case KvFormat::kF16:
      return f(FloatCache<F16, KvFormat::kF16>());
    case KvFormat::kBF16:
      return f(Bf16Cache());
    case KvFormat::kInt8:
      return f(Int8Cache());
    case KvFormat::kFp8:
      return f(Fp8Cache());
  }
}
static void prepare(const AttnTask& task) {
  with_cache(task, [&](auto cache) { decltype(cache)::prepare(task, work_of(task)); });
}
static void partition(const AttnTask& task, int64_t part, float* state) {
  with_cache(task, [&](auto cache) { partition_of<decltype(cache)>(task, part, state); });
}

// total = total and part, weighed against their common maximum. A part in which a row sees nothing leaves it
// as it was.
template <class Cache>
static void merge_of(const AttnTask& task, float* total_data, const float* part_data) {
  State total(task, total_data), part(task, const_cast<float*>(part_data));
  for (int64_t row = 0; row < rows_of(task) * task.num_heads; ++row) {
    const float old = *total.maximum(row), found = *part.maximum(row);
    if (found == kMinusInf && part.weights(row)[0] == 0) continue;
    const float next = old > found ? old : found, center = next == kMinusInf ? 0.0f : next;
    V keep = Cache::power(broadcast(old - center)), take = Cache::power(broadcast(found - center));
    for (int64_t i = 0; i < total.padded + kLanes; i += kLanes) {
      float* to = total.values(row) + i;
      store(to, fma(load(to), keep, mul(load(part.values(row) + i), take)));
    }
    store(total.maximum(row), broadcast(next));
  }
}
static void merge(const AttnTask& task, float* total, const float* part) {
  if (kv_cell(task.format) == 1)
    merge_of<FloatCache<float, KvFormat::kF32>>(task, total, part);
  else
    merge_of<Bf16Cache>(task, total, part);
}

static void finish(const AttnTask& task, const float* data) {
  State total(task, const_cast<float*>(data));
  const int64_t dim = task.head_dim, rows = rows_of(task);
  for (int64_t head = 0; head < task.num_heads; ++head)
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = head * rows + row;
      float* out =
          task.out + row / task.group * task.out_stride + (head * task.group + row % task.group) * dim;
      V sum = broadcast(total.weights(at)[0]);
      for (int64_t i = 0; i < dim; i += kLanes)
        store_n(out + i, div(add(load(total.values(at) + i), zero()), sum), dim - i);
    }
}

}  // namespace attn

constexpr AttentionKernels kAttentionKernels = {attn::kv_store,  attn::prepare, attn::reset,
                                                attn::partition, attn::merge,   attn::finish};

}  // namespace
}  // namespace pagoda::cpu
