// Attention over a cache of float32 or float16, all in float32. Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

template <class T, KvFormat kOf>
struct FloatCache {
  static constexpr KvFormat kFormat = kOf;
  PAGODA_INLINE V power(V x) { return cpu::exp(x); }

  static void prepare(const AttnTask& task, const Work& work) {
    const int64_t dim = task.head_dim, rows = rows_of(task);
    auto* q = reinterpret_cast<float*>(work.queries);
    for (int64_t head = 0; head < task.num_heads; ++head)
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < dim; i += kLanes)
          store_n(q + (head * rows + row) * dim + i, load_n(query_row(task, head, row) + i, dim - i),
                  dim - i);
  }

  // Turns a row's products with the 64 keys of a tile into weights, rescaling the row's state where its
  // maximum grew.
  static void softmax(const AttnTask& task, const State& state, int64_t row, float* scores, KeyRange keys) {
    const int64_t first = keys.begin / kLanes, last = divide_up(keys.end, kLanes);
    V high = broadcast(kMinusInf);
    for (int64_t p = first; p < last; ++p) {
      V score = mul(load(scores + p * kLanes), broadcast(task.scale));
      if (task.softcap > 0) score = soft_cap(score, task.softcap);
      score = select_range(score, broadcast(kMinusInf), keys.begin - p * kLanes, keys.end - p * kLanes);
      store(scores + p * kLanes, score);
      high = max(high, score);
    }
    const float old = *state.maximum(row), found = max_lanes(high), next = old > found ? old : found;
    const float center = next == kMinusInf ? 0.0f : next;
    V sum = load(state.weights(row));
    if (next != old) {
      V factor = cpu::exp(broadcast(old - center));
      sum = mul(sum, factor);
      float* values = state.values(row);
      for (int64_t i = 0; i < state.padded; i += kLanes) store(values + i, mul(load(values + i), factor));
      store(state.maximum(row), broadcast(next));
    }
    for (int64_t p = first; p < last; ++p) {
      V weight = cpu::exp(sub(load(scores + p * kLanes), broadcast(center)));
      store(scores + p * kLanes, weight);
      sum = add(sum, weight);
    }
    store(state.weights(row), sum);
  }

  // state += weights times V, for rows that see the same keys: the sum ends with the last of them, so that
  // nothing later in the cache, be it NaN, can reach it.
  static void add_values(const AttnTask& task, const State& state, const Panels& panels, int64_t head,
                         int64_t row, int64_t rows, const float* scores, KeyRange keys, const Ahead& ahead) {
    const int64_t step = state.padded * static_cast<int64_t>(sizeof(T));
    for (int64_t key = keys.begin, count; key < keys.end; key += count) {
      count = min_i64(kLanes - key % kLanes, keys.end - key);
      const char* v = panels.at[key / kLanes] + head * task.layout.head_bytes + task.layout.v_offset +
                      key % kLanes * step;
      multiply_values<Fused<T>>({scores + key, kKeyTile, &v, &ahead.by[key / kLanes], step, count, count,
                                 state.values(row), state.stride, false, nullptr},
                                rows, state.padded / kLanes);
    }
  }

  static void tile(const AttnTask& task, const Work& work, const State& state, const Panels& panels,
                   const Ahead& ahead, int64_t head, KeyRange queries, int64_t tile) {
    const int64_t dim = task.head_dim, group = task.group;
    for (int64_t query = queries.begin, next; query < queries.end; query = next) {
      const KeyRange keys = seen(task, query * group, tile);
      // Rows that see the same keys go together, as many as fit; a wide group in pieces.
      const int64_t most = max_i64(2 * task.row_chunk / group, 1);
      for (next = query + 1; next < queries.end && next - query < most; ++next) {
        const KeyRange other = seen(task, next * group, tile);
        if (other.begin != keys.begin || other.end != keys.end) break;
      }
      const int64_t p0 = keys.begin / kLanes, p1 = divide_up(keys.end, kLanes);
      for (int64_t row = query * group, rows; row < next * group; row += rows) {
        rows = min_i64(next * group - row, 2 * task.row_chunk);
        const char* from[kTilePanelCount];
        for (int64_t p = p0; p < p1; ++p) from[p] = panels.at[p] + head * task.layout.head_bytes;
        const float* q = reinterpret_cast<const float*>(work.queries) + (head * rows_of(task) + row) * dim;
        multiply_keys<Fused<T>>({q, dim, from + p0, row == queries.begin * group ? ahead.by + p0 : kNotAhead,
                                 0, dim, 0, work.scores + p0 * kLanes, kKeyTile, true, nullptr},
                                rows, p1 - p0);
        for (int64_t i = 0; i < rows; ++i) softmax(task, state, row + i, work.scores + i * kKeyTile, keys);
        add_values(task, state, panels, head, row, rows, work.scores, keys,
                   row == queries.begin * group ? ahead : Ahead{});
      }
    }
  }
};

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
