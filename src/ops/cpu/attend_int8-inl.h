// Attention over a cache of int8 with a scale per token and head, in integers: queries become 16-bit and
// weights 14-bit fixed point, each in two bytes, and dot4 sums their products exactly. Included by
// attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

struct Int8Cache {
  static constexpr KvFormat kFormat = KvFormat::kInt8;
  static constexpr float kQuerySteps = 127 * 256, kWeightSteps = 127 * 128 + 127;
  PAGODA_INLINE V power(V x) { return exp2(x); }
  static int64_t query_words(const AttnTask& task) { return round_up_to(task.head_dim, 64) / 4; }

  // q = step * (256 * high + low), high in [-127, 127], low in [-128, 127].
  static void prepare_row(const float* src, int64_t dim, int8_t* high, int8_t* low, float* constants) {
    V most = zero();
    for (int64_t i = 0; i < dim; i += kLanes) most = max(most, abs(load_n(src + i, dim - i)));
    const float peak = max_lanes(most), usable = peak < 1e-30f ? 1e-30f : peak;  // NaN stays
    const V to_steps = broadcast(kQuerySteps / usable);
    V sum_high = zero(), sum_low = zero(), poison = zero();
    for (int64_t i = 0; i < dim; i += kLanes) {
      const V x = load_n(src + i, dim - i), steps = round_near(mul(x, to_steps));
      const V upper = round_near(mul(add(steps, broadcast(0.5f)), broadcast(1.0f / 256)));
      const V lower = fma(upper, broadcast(-256.0f), steps);
      store_bytes(high + i, upper);
      store_bytes(low + i, lower);
      sum_high = add(sum_high, upper);  // whole numbers: exact
      sum_low = add(sum_low, lower);
      poison = fma(x, zero(), poison);
    }
    // A query that is not finite has no bytes: its answer is NaN.
    constants[0] = usable / kQuerySteps + sum_lanes(poison);
    constants[1] = 128 * sum_lanes(sum_high);  // what the 128 added to every K comes to
    constants[2] = 128 * sum_lanes(sum_low);
  }
  static void prepare(const AttnTask& task, const Work& work) {
    const int64_t rows = rows_of(task), stride = query_words(task) * 4;
    for (int64_t head = 0; head < task.num_heads; ++head)
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = head * rows + row;
        auto* high = reinterpret_cast<int8_t*>(work.queries) + 2 * at * stride;
        __builtin_memset(high, 0, static_cast<std::size_t>(2 * stride));
        prepare_row(query_row(task, head, row), task.head_dim, high, high + stride, work.constants + 4 * at);
      }
  }

  PAGODA_INLINE V scores_of(const float* sums, int64_t at, const float* constants, const char* scales) {
    const V high = sub(to_float(load_word16(sums + at)), broadcast(constants[1]));
    const V low = sub(to_float(load_word16(sums + kKeyTile + at)), broadcast(constants[2]));
    return mul(fma(high, broadcast(256.0f), low), load(reinterpret_cast<const float*>(scales)));
  }
  // Two bytes of a weight in [0, 1].
  PAGODA_INLINE void store_weights(uint32_t* weights, int64_t at, V weight, V to_steps) {
    const V steps = round_near(mul(weight, to_steps));
    const V upper = round_near(mul(sub(steps, broadcast(63.5f)), broadcast(1.0f / 128)));
    store_bytes(reinterpret_cast<int8_t*>(weights) + at, upper);
    store_bytes(reinterpret_cast<int8_t*>(weights) + kKeyTile + at, fma(upper, broadcast(-128.0f), steps));
  }

  // Turns a row's sums with 64 keys into weights, the scales of V among them, relative to their greatest;
  // keep[0..15]: what the row's earlier sums are worth now, keep[16..31]: what a step of these weights is.
  PAGODA_INLINE void softmax(const AttnTask& task, const State& state, int64_t row, const float* sums,
                             const float* constants, const char* const* scales, KeyRange keys,
                             uint32_t* weights, float* keep) {
    Four s = {scores_of(sums, 0, constants, scales[0]), scores_of(sums, 16, constants, scales[1]),
              scores_of(sums, 32, constants, scales[2]), scores_of(sums, 48, constants, scales[3])};
    float factor = constants[0] * task.scale * kLog2E;
    if (task.softcap > 0 || !(task.scale > 0)) {
      factor = kLog2E;
      s = map(s, [&](V x) {
        x = mul(x, broadcast(constants[0] * task.scale));
        return task.softcap > 0 ? soft_cap(x, task.softcap) : x;
      });
    }
    if (!whole(keys)) s = only(s, keys, kMinusInf);
    // Weights relative to this tile's greatest: all 14 bits are used, whatever came before.
    const V here = max(broadcast(-0x1p126f), mul(greatest(s), broadcast(factor))), below = sub(zero(), here);
    const V old = load(state.maximum(row)), next = max(old, here);
    Four w = map(
        s, [&](V x) __attribute__((always_inline)) { return exp2(fma(x, broadcast(factor), below)); });
    const V kept = exp2(sub(old, next)), taken = exp2(sub(here, next));
    const V sum = add(add(w.a, w.b), add(w.c, w.d));
    store(state.weights(row), fma(load(state.weights(row)), kept, mul(sum, taken)));
    store(state.maximum(row), next);
    auto of_values = [&](int64_t p) __attribute__((always_inline)) {
      return load(reinterpret_cast<const float*>(scales[p]) + kLanes);
    };
    w = {mul(w.a, of_values(0)), mul(w.b, of_values(1)), mul(w.c, of_values(2)), mul(w.d, of_values(3))};
    if (!whole(keys)) w = only(w, keys, 0.0f);
    const V most = max(broadcast(1e-30f), greatest(w));
    const V to_steps = div(broadcast(kWeightSteps), most);
    store_weights(weights, 0, w.a, to_steps);
    store_weights(weights, 16, w.b, to_steps);
    store_weights(weights, 32, w.c, to_steps);
    store_weights(weights, 48, w.d, to_steps);
    store(keep, kept);
    store(keep + kLanes, mul(taken, mul(most, broadcast(1 / kWeightSteps))));
  }

  static void add_products(const State& state, int64_t row, int64_t rows, const Work& work) {
    for (int64_t i = 0; i < rows; ++i) {
      const V kept = load(work.keep + 2 * i * kLanes), step = load(work.keep + (2 * i + 1) * kLanes);
      const float* high = work.products + 2 * i * state.padded;
      float* values = state.values(row + i);
      for (int64_t d = 0; d < state.padded; d += kLanes) {
        const V sum = fma(to_float(load_word16(high + d)), broadcast(128.0f),
                          to_float(load_word16(high + state.padded + d)));
        store(values + d, fma(load(values + d), kept, mul(sum, step)));
      }
    }
  }

  static void chunk(const AttnTask& task, const Work& work, const State& state, const Panels& panels,
                    const Ahead& ahead, int64_t head, int64_t row, int64_t rows, int64_t tile) {
    const KeyRange first = seen(task, row, tile), last = seen(task, row + rows - 1, tile);
    const int64_t p0 = first.begin / kLanes, p1 = divide_up(last.end, kLanes), words = query_words(task);
    const int64_t at = head * rows_of(task) + row;
    const char *keys[kTilePanelCount], *values[kTilePanelCount], *scales[kTilePanelCount];
    for (int64_t p = 0; p < kTilePanelCount; ++p) {
      keys[p] = panels.at[p] + head * task.layout.head_bytes;
      values[p] = keys[p] + task.layout.v_offset;
      scales[p] = keys[p] + task.layout.scale_offset;
    }
    const bool all = whole({last.begin, first.end});  // all rows see every key
    multiply_keys<KeyQuads>(
        {reinterpret_cast<const uint32_t*>(work.queries) + 2 * at * words, words, keys + p0, ahead.by + p0, 0,
         divide_up(task.head_dim, 4), 0, work.scores + p0 * kLanes, kKeyTile, true, nullptr},
        2 * rows, p1 - p0);
    for (int64_t i = 0; i < rows; ++i)
      softmax(task, state, row + i, work.scores + 2 * i * kKeyTile, work.constants + 4 * (at + i), scales,
              all ? first : seen(task, row + i, tile), work.weights + i * 32, work.keep + 2 * i * kLanes);
    multiply_values<ValueQuads>(
        {work.weights + p0 * 4, 16, values + p0, ahead.by + p0, state.padded * 4,
         divide_up(last.end, 4) - p0 * 4, 4, work.products, state.padded, true, nullptr},
        2 * rows, state.padded / kLanes);
    add_products(state, row, rows, work);
  }

  static void tile(const AttnTask& task, const Work& work, const State& state, const Panels& panels,
                   const Ahead& ahead, int64_t head, KeyRange queries, int64_t tile) {
    const int64_t end = queries.end * task.group;
    for (int64_t row = queries.begin * task.group; row < end; row += task.row_chunk)
      chunk(task, work, state, panels, row == queries.begin * task.group ? ahead : Ahead{}, head, row,
            min_i64(end - row, task.row_chunk), tile);
  }
};

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
