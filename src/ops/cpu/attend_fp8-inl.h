// Attention over a cache of e4m3 with a scale per token and head: a tile's K and V become bfloat16, which is
// exact, and the products are those of attend_bf16-inl.h. Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

struct Fp8Cache {
  static constexpr KvFormat kFormat = KvFormat::kFp8;
  PAGODA_INLINE V power(V x) { return exp2(x); }
  static void prepare(const AttnTask& task, const Work& work) { Bf16Cache::prepare(task, work); }

  // `rows` rows of cells, `width` bytes each, of which two rows of pairs become. Asks for what lies `ahead`.
  static void widen(const char* from, int64_t rows, int64_t width, int64_t ahead, char* to) {
    for (; rows > 0; --rows, from += width, to += 2 * width)
      for (int64_t i = 0; i < width; i += 64) {
        const WidePairs pairs = widen_e4m3(load_word16(from + i));
        __builtin_prefetch(from + ahead + i, 0, 2);
        store_word16(to + i, pairs.even);
        store_word16(to + width + i, pairs.odd);
      }
  }

  // One head's share of a tile's panels: where its codes and scales lie, and where K and V become bfloat16,
  // laid out as in a cache of it.
  struct Wide {
    const char* panels[kTilePanelCount];
    char *keys[kTilePanelCount], *values[kTilePanelCount];
    int64_t ahead[kTilePanelCount];
    int64_t first, last;  // the panels of which some row sees a key
    bool shared;          // V takes the place of K, once that has been read: less of the near cache
  };
  static Wide places(const AttnTask& task, const Work& work, const Panels& panels, const Ahead& ahead,
                     int64_t head, KeyRange keys, bool shared) {
    Wide wide;
    for (int64_t p = 0; p < kTilePanelCount; ++p) {
      wide.panels[p] = panels.at[p] + head * task.layout.head_bytes;
      wide.keys[p] = work.clean + p * 2 * task.layout.scale_offset;
      wide.values[p] = wide.keys[p] + (shared ? 0 : 2 * task.layout.v_offset);
      wide.ahead[p] = ahead.by[p];
    }
    wide.first = keys.begin / kLanes;
    wide.last = divide_up(keys.end, kLanes);
    wide.shared = shared;
    return wide;
  }
  static void widen_keys(const AttnTask& task, const Wide& wide) {
    for (int64_t p = wide.first; p < wide.last; ++p)
      widen(wide.panels[p], divide_up(task.head_dim, 4), 64, wide.ahead[p], wide.keys[p]);
  }
  static void widen_values(const AttnTask& task, const Wide& wide) {
    for (int64_t p = wide.first; p < wide.last; ++p)
      widen(wide.panels[p] + task.layout.v_offset, 4, round_up_lanes(task.head_dim) * 4, wide.ahead[p],
            wide.values[p]);
  }
  // A Four times the scales of K (at 0) or V (at 1).
  PAGODA_INLINE Four scaled(const AttnTask& task, const Four& x, const Wide& wide, int64_t which) {
    auto scale = [&](int64_t p) __attribute__((always_inline)) {
      return load(reinterpret_cast<const float*>(wide.panels[p] + task.layout.scale_offset) + which * kLanes);
    };
    return {mul(x.a, scale(0)), mul(x.b, scale(1)), mul(x.c, scale(2)), mul(x.d, scale(3))};
  }

  // Turns a row's products with 64 keys into weights (pairs of bfloat16), the scales of V among them,
  // relative to their greatest; keep[0..15]: what the row's earlier sums are worth now, keep[16..31]: what
  // the tile's sum is multiplied by.
  PAGODA_INLINE void softmax(const AttnTask& task, const State& state, int64_t row, const float* scores,
                             const Wide& wide, KeyRange keys, uint32_t* weights, float* keep) {
    Four s = scaled(task, load_four(scores), wide, 0);
    float factor = task.scale * (kLog2E * kE4m3Unit);
    if (task.softcap > 0 || !(task.scale > 0)) {  // else the scale is part of the exponent
      factor = kLog2E;
      s = map(s, [&](V x) {
        x = mul(x, broadcast(task.scale * kE4m3Unit));
        return task.softcap > 0 ? soft_cap(x, task.softcap) : x;
      });
    }
    if (!whole(keys)) s = only(s, keys, kMinusInf);
    const Center center = raise(state.maximum(row), s, factor);
    const V below = sub(zero(), center.at);
    Four w = map(
        s, [&](V x) __attribute__((always_inline)) { return exp2<true>(fma(x, broadcast(factor), below)); });
    const V sum = add(add(w.a, w.b), add(w.c, w.d));
    store(state.weights(row), fma(load(state.weights(row)), center.kept, sum));
    w = scaled(task, w, wide, 1);
    if (!whole(keys)) w = only(w, keys, 0.0f);
    const V most = max(broadcast(1e-36f), greatest(w)), inverse = div(broadcast(1.0f), most);
    w = map(
        w, [&](V x) __attribute__((always_inline)) {
          x = mul(x, inverse);
          return zero_where_less(x, x, 0x1p-60f);
        });
    store_bf16_pairs(weights, w.a, w.b);
    store_bf16_pairs(weights + 16, w.c, w.d);
    store(keep, center.kept);
    store(keep + kLanes, mul(most, broadcast(kE4m3Unit)));
  }

  // Rows [row, row + rows) of one head.
  static void chunk(const AttnTask& task, const Work& work, const State& state, const Wide& wide,
                    int64_t head, int64_t row, int64_t rows, int64_t tile) {
    const KeyRange first = seen(task, row, tile), last = seen(task, row + rows - 1, tile);
    const int64_t p0 = first.begin / kLanes, p1 = divide_up(last.end, kLanes);
    const int64_t words = Bf16Cache::query_words(task);
    const auto* q = reinterpret_cast<const uint32_t*>(work.queries) + (head * rows_of(task) + row) * words;
    const bool all = whole({last.begin, first.end});  // all rows see every key
    multiply_keys<Pairs>({q, words, wide.keys + p0, kNotAhead, 0, divide_up(task.head_dim, 2), 0,
                          work.scores + p0 * kLanes, kKeyTile, true, nullptr},
                         rows, p1 - p0);
    for (int64_t i = 0; i < rows; ++i)
      softmax(task, state, row + i, work.scores + i * kKeyTile, wide, all ? first : seen(task, row + i, tile),
              work.weights + i * 32, work.keep + 2 * i * kLanes);
    if (wide.shared) widen_values(task, wide);
    multiply_values<ScaledPairs>(
        {work.weights + p0 * 8, 32, wide.values + p0, kNotAhead, state.padded * 4,
         divide_up(last.end, 2) - p0 * 8, 8, state.values(row), state.stride, true, work.keep},
        rows, state.padded / kLanes);
  }

  static void tile(const AttnTask& task, const Work& work, const State& state, const Panels& panels,
                   const Ahead& ahead, int64_t head, KeyRange queries, int64_t tile) {
    const int64_t begin = queries.begin * task.group, end = queries.end * task.group;
    const KeyRange keys = {seen(task, begin, tile).begin, seen(task, end - 1, tile).end};
    const Wide wide = places(task, work, panels, ahead, head, keys, end - begin <= task.row_chunk);
    widen_keys(task, wide);
    if (!wide.shared) widen_values(task, wide);
    for (int64_t row = begin; row < end; row += task.row_chunk)
      chunk(task, work, state, wide, head, row, min_i64(end - row, task.row_chunk), tile);
  }
};

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
