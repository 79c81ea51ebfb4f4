// Attention over a cache of bfloat16: queries and weights are rounded to it as well, products of pairs are
// summed in float32 (dot2). Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

// Rounding to bfloat16 takes what is below 2^-50 for 0: see exp2().
PAGODA_INLINE V without_tiny(V x) {
  return zero_where_less(x, abs(x), 0x1p-50f);
}

struct Bf16Cache {
  static constexpr KvFormat kFormat = KvFormat::kBF16;
  PAGODA_INLINE V power(V x) { return exp2(x); }
  static int64_t query_words(const AttnTask& task) { return round_up_to(task.head_dim, 32) / 2; }

  static void prepare(const AttnTask& task, const Work& work) {
    const int64_t dim = task.head_dim, rows = rows_of(task), stride = query_words(task) * 4;
    for (int64_t head = 0; head < task.num_heads; ++head)
      for (int64_t row = 0; row < rows; ++row) {
        const float* src = query_row(task, head, row);
        char* to = work.queries + (head * rows + row) * stride;
        for (int64_t i = 0; i < dim; i += 2 * kLanes)
          store_bf16_pairs(
              to + i * 2, without_tiny(load_n(src + i, dim - i)),
              without_tiny(dim - i > kLanes ? load_n(src + i + kLanes, dim - i - kLanes) : zero()));
      }
  }

  // Turns a row's products with 64 keys into weights (pairs of bfloat16); keep: what the row's earlier sums
  // are worth now.
  PAGODA_INLINE void softmax(const AttnTask& task, const State& state, int64_t row, const float* scores,
                             KeyRange keys, uint32_t* weights, float* keep) {
    Four s = load_four(scores);
    float factor = task.scale * kLog2E;
    if (task.softcap > 0 || !(task.scale > 0)) {  // else the scale is part of the exponent
      factor = kLog2E;
      s = map(s, [&](V x) {
        x = mul(x, broadcast(task.scale));
        return task.softcap > 0 ? soft_cap(x, task.softcap) : x;
      });
    }
    if (!whole(keys)) s = only(s, keys, kMinusInf);
    const Center center = raise(state.maximum(row), s, factor);
    const V below = sub(zero(), center.at);
    const Four w = map(
        s, [&](V x) __attribute__((always_inline)) { return exp2<true>(fma(x, broadcast(factor), below)); });
    store_bf16_pairs(weights, w.a, w.b);
    store_bf16_pairs(weights + 16, w.c, w.d);
    const I ones = broadcast_word(0x3F803F80u);  // two of 1: the sum is one of the rounded weights
    const V sum = dot2(dot2(zero(), load_word16(weights), ones), load_word16(weights + 16), ones);
    store(state.weights(row), fma(load(state.weights(row)), center.kept, sum));
    store(keep, center.kept);
  }

  // Rows [row, row + rows) of one head; `values`: V of the four panels.
  static void chunk(const AttnTask& task, const Work& work, const State& state, const Panels& panels,
                    const Ahead& ahead, int64_t head, int64_t row, int64_t rows, int64_t tile,
                    const char* const* values) {
    const KeyRange first = seen(task, row, tile), last = seen(task, row + rows - 1, tile);
    const int64_t p0 = first.begin / kLanes, p1 = divide_up(last.end, kLanes), words = query_words(task);
    const char* from[kTilePanelCount];
    for (int64_t p = 0; p < kTilePanelCount; ++p) from[p] = panels.at[p] + head * task.layout.head_bytes;
    const auto* q = reinterpret_cast<const uint32_t*>(work.queries) + (head * rows_of(task) + row) * words;
    const bool all = whole({last.begin, first.end});  // all rows see every key
    multiply_keys<Pairs>({q, words, from + p0, ahead.by + p0, 0, divide_up(task.head_dim, 2), 0,
                          work.scores + p0 * kLanes, kKeyTile, true, nullptr},
                         rows, p1 - p0);
    for (int64_t i = 0; i < rows; ++i)
      softmax(task, state, row + i, work.scores + i * kKeyTile, all ? first : seen(task, row + i, tile),
              work.weights + i * 32, work.keep + i * kLanes);
    multiply_values<Pairs>(
        {work.weights + p0 * 8, 32, values + p0, ahead.by + p0, state.padded * 4,
         divide_up(last.end, 2) - p0 * 8, 8, state.values(row), state.stride, true, work.keep},
        rows, state.padded / kLanes);
  }

  // Whether V of the token pairs [begin, end) is finite, so that weights of 0 take it out of every sum.
  static bool finite(const char* const* values, int64_t padded, int64_t begin, int64_t end) {
    V sum = zero();
    for (int64_t pair = begin; pair < end; ++pair) {
      const char* v = values[pair / 8] + pair % 8 * padded * 4;
      for (int64_t i = 0; i < padded; i += kLanes) sum = dot2(sum, load_word16(v + i * 4), broadcast_word(0));
    }
    return sum_lanes(sum) == 0;
  }
  // A copy of V in which the keys outside of the range are 0.
  static void copy_seen(const AttnTask& task, const char* const* values, KeyRange keys, char* copy) {
    const int64_t padded = round_up_lanes(task.head_dim), panel = padded * 32;
    for (int64_t key = keys.begin / kLanes * kLanes; key < round_up_lanes(keys.end); ++key) {
      const int64_t offset = key % kLanes / 2 * padded * 2 + key % 2;
      const auto* from = reinterpret_cast<const uint16_t*>(values[key / kLanes]) + offset;
      auto* to = reinterpret_cast<uint16_t*>(copy + key / kLanes * panel) + offset;
      const bool inside = key >= keys.begin && key < keys.end;
      for (int64_t i = 0; i < padded; ++i) to[2 * i] = inside ? from[2 * i] : uint16_t{0};
    }
  }

  static void tile(const AttnTask& task, const Work& work, const State& state, const Panels& panels,
                   const Ahead& ahead, int64_t head, KeyRange queries, int64_t tile) {
    const int64_t group = task.group, begin = queries.begin * group, end = queries.end * group;
    const char* values[kTilePanelCount];
    for (int64_t p = 0; p < kTilePanelCount; ++p)
      values[p] = panels.at[p] + head * task.layout.head_bytes + task.layout.v_offset;
    // Pairs of which some row sees a key and some row does not see one.
    const KeyRange low = seen(task, begin, tile), high = seen(task, end - 1, tile);
    const int64_t first_pair = low.begin / kLanes * 8, last_pair = divide_up(high.end, 2);
    const bool clean = finite(values, state.padded, first_pair, divide_up(high.begin, 2)) &&
                       finite(values, state.padded, max_i64(low.end / 2, first_pair), last_pair);
    if (clean) {
      for (int64_t row = begin; row < end; row += task.row_chunk)
        chunk(task, work, state, panels, row == begin ? ahead : Ahead{}, head, row,
              min_i64(end - row, task.row_chunk), tile, values);
      return;
    }
    const char* copies[kTilePanelCount];
    for (int64_t p = 0; p < kTilePanelCount; ++p) copies[p] = work.clean + p * state.padded * 32;
    for (int64_t query = queries.begin; query < queries.end; ++query) {
      copy_seen(task, values, seen(task, query * group, tile), work.clean);
      for (int64_t row = query * group; row < (query + 1) * group; row += task.row_chunk)
        chunk(task, work, state, panels, Ahead{}, head, row,
              min_i64((query + 1) * group - row, task.row_chunk), tile, copies);
    }
  }
};

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
