// Where keys and values lie, which row sees which, and the state of a row. Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

constexpr float kMinusInf = -__builtin_inff();

PAGODA_INLINE int64_t max_i64(int64_t a, int64_t b) {
  return a > b ? a : b;
}
PAGODA_INLINE int64_t min_i64(int64_t a, int64_t b) {
  return a < b ? a : b;
}
PAGODA_INLINE int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

struct KeyRange {
  int64_t begin, end;
};
// The keys of [begin, end) that query number `query` of the task sees.
PAGODA_INLINE KeyRange visible(const AttnTask& task, int64_t query, int64_t begin, int64_t end) {
  int64_t position = task.first_position + query;
  int64_t first = task.window > 0 ? max_i64(0, position - task.window + 1) : 0;
  return {max_i64(first, begin), min_i64(position + 1, end)};
}
// The same for a row, within the tile of 64 keys that begins at `tile`, from where the range counts.
PAGODA_INLINE KeyRange seen(const AttnTask& task, int64_t row, int64_t tile) {
  KeyRange keys = visible(task, row / task.group, tile, tile + kKeyTile);
  return {keys.begin - tile, keys.end - tile};
}

// One KV head's states: per row [sum of V: head_dim rounded up][sum of weights: 16 lanes][maximum: 16 equal
// lanes].
struct State {
  float* data;
  int64_t stride, padded;
  State(const AttnTask& task, float* data_in)
      : data(data_in), stride(attn_state_stride(task.head_dim)), padded(round_up_lanes(task.head_dim)) {}
  float* values(int64_t row) const { return data + row * stride; }
  float* weights(int64_t row) const { return data + row * stride + padded; }
  float* maximum(int64_t row) const { return data + row * stride + padded + kLanes; }
};
PAGODA_INLINE int64_t rows_of(const AttnTask& task) {
  return int64_t{task.num_queries} * task.group;
}

static void reset(const AttnTask& task, float* data) {
  State state(task, data);
  for (int64_t row = 0; row < rows_of(task) * task.num_heads; ++row) {
    for (int64_t i = 0; i < state.padded + kLanes; i += kLanes) store(state.values(row) + i, zero());
    store(state.maximum(row), broadcast(kMinusInf));
  }
}

// The panels of one tile of keys, of the task's first head; the next head's lie head_bytes further. Panels
// without a visible key point where another one does.
struct Panels {
  const char* at[kTilePanelCount];
};

// What copying a token between panels needs to know of a format.
template <KvFormat kFormat>
struct Cells;
template <>
struct Cells<KvFormat::kF32> {
  using Key = uint32_t;
  using Value = uint32_t;
};
template <>
struct Cells<KvFormat::kF16> {
  using Key = uint16_t;
  using Value = uint16_t;
};
template <>
struct Cells<KvFormat::kBF16> {
  using Key = uint32_t;
  using Value = uint16_t;
};
template <>
struct Cells<KvFormat::kInt8> {
  using Key = uint32_t;
  using Value = uint8_t;
};
template <>
struct Cells<KvFormat::kFp8> : Cells<KvFormat::kInt8> {};

// Token `from` of one panel becomes token `to` of another, for one head.
template <KvFormat kFormat>
static void copy_token(const AttnTask& task, char* to_panel, int64_t to, const char* from_panel,
                       int64_t from) {
  using Key = typename Cells<kFormat>::Key;
  using Value = typename Cells<kFormat>::Value;
  constexpr int64_t kCell = kv_cell(kFormat);
  const int64_t padded = round_up_lanes(task.head_dim), v = task.layout.v_offset;
  const auto* k_in = reinterpret_cast<const Key*>(from_panel) + from;
  auto* k_out = reinterpret_cast<Key*>(to_panel) + to;
  for (int64_t i = 0; i < divide_up(task.head_dim, kCell); ++i) k_out[i * kLanes] = k_in[i * kLanes];
  const auto* v_in = reinterpret_cast<const Value*>(from_panel + v) + from / kCell * padded * kCell +
                     kv_place(kFormat, from);
  auto* v_out = reinterpret_cast<Value*>(to_panel + v) + to / kCell * padded * kCell + kv_place(kFormat, to);
  for (int64_t i = 0; i < padded; ++i) v_out[i * kCell] = v_in[i * kCell];
  if constexpr (has_scales(kFormat)) {
    const auto* scales_in = reinterpret_cast<const float*>(from_panel + task.layout.scale_offset);
    auto* scales_out = reinterpret_cast<float*>(to_panel + task.layout.scale_offset);
    scales_out[to] = scales_in[from];
    scales_out[kLanes + to] = scales_in[kLanes + from];
  }
}

// The panels of the keys [begin, end) of a tile; no other key is looked up. Where blocks do not hold whole
// panels, they are put together in `copies`.
template <KvFormat kFormat>
static Panels find_panels(const AttnTask& task, KeyRange keys, char* copies) {
  const int64_t size = task.block_size, tile = keys.begin / kKeyTile * kKeyTile;
  const int64_t first = (keys.begin - tile) / kLanes, last = divide_up(keys.end - tile, kLanes);
  const KvPanels& layout = task.layout;
  Panels panels;
  auto token = [&](int64_t key) __attribute__((always_inline)) {
    return task.cache + task.block_table[key / size] * task.block_stride +
           key % size / kLanes * layout.panel_bytes;
  };
  for (int64_t p = first; p < last; ++p) {
    const int64_t key = tile + p * kLanes;
    if (size % kLanes == 0) {
      panels.at[p] = token(key);
      continue;
    }
    char* copy = copies + p * layout.head_bytes * task.num_heads;
    for (int64_t i = 0; i < kLanes && key + i < keys.end; ++i)
      if (key + i >= keys.begin)
        for (int64_t head = 0; head < task.num_heads; ++head)
          copy_token<kFormat>(task, copy + head * layout.head_bytes, i,
                              token(key + i) + head * layout.head_bytes, (key + i) % size % kLanes);
    panels.at[p] = copy;
  }
  for (int64_t p = 0; p < first; ++p) panels.at[p] = panels.at[first];
  for (int64_t p = last; p < kTilePanelCount; ++p) panels.at[p] = panels.at[first];
  return panels;
}

// How much further than what is read now, in each of the tile's panels, lies what is read next: the next
// head's K and V, or the first head's of the next tile. The products ask for it line by line while they read:
// a head's share of a block is too short a run for the hardware to see a stream, and asked for at once it
// would keep the products waiting. 0: nothing to ask for.
struct Ahead {
  int64_t by[kTilePanelCount];
};

// A kernel's memory while it works on one partition.
struct Work {
  char* queries;      // of all rows of all heads, as the format reads them
  float* constants;   // [heads * rows][4], int8 only
  float* scores;      // [2 * row_chunk][64]
  uint32_t* weights;  // [row_chunk][32], of any format
  float* keep;        // [2 * row_chunk][16]
  float* products;    // [2 * row_chunk][padded]
  char* clean;        // one head's four panels, twice: V without what is not seen, or K and V as bfloat16
  char* copies;       // four panels
};
static Work work_of(const AttnTask& task) {
  const int64_t rows = rows_of(task) * task.num_heads, padded = round_up_lanes(task.head_dim);
  auto* p = reinterpret_cast<char*>(round_up_to(reinterpret_cast<intptr_t>(task.scratch), 64));
  auto take = [&](int64_t bytes) {
    char* memory = p;
    p += round_up_to(bytes, 64);
    return memory;
  };
  Work work;
  work.queries = take(rows * (attn_query_bytes(task.head_dim) - 64));
  work.constants = reinterpret_cast<float*>(take(rows * 16));
  work.scores = reinterpret_cast<float*>(take(2 * task.row_chunk * kKeyTile * 4));
  work.weights = reinterpret_cast<uint32_t*>(take(task.row_chunk * 128));
  work.keep = reinterpret_cast<float*>(take(2 * task.row_chunk * kLanes * 4));
  work.products = reinterpret_cast<float*>(take(2 * task.row_chunk * padded * 4));
  work.clean = take(2 * kTilePanelCount * task.layout.scale_offset);
  work.copies = p;
  return work;
}
PAGODA_INLINE const float* query_row(const AttnTask& task, int64_t head, int64_t row) {
  return task.q + row / task.group * task.q_stride + (head * task.group + row % task.group) * task.head_dim;
}

// Four vectors: a row's 64 scores or weights.
struct Four {
  V a, b, c, d;
};
template <class F>
PAGODA_INLINE Four map(const Four& x, F f) {
  return {f(x.a), f(x.b), f(x.c), f(x.d)};
}
PAGODA_INLINE Four load_four(const float* p) {
  return {load(p), load(p + 16), load(p + 32), load(p + 48)};
}
PAGODA_INLINE V greatest(const Four& x) {
  return spread_max(max(max(x.a, x.b), max(x.c, x.d)));
}
// `other` in the lanes outside of the range.
PAGODA_INLINE Four only(const Four& x, KeyRange keys, float other) {
  const V outside = broadcast(other);
  return {select_range(x.a, outside, keys.begin, keys.end),
          select_range(x.b, outside, keys.begin - 16, keys.end - 16),
          select_range(x.c, outside, keys.begin - 32, keys.end - 32),
          select_range(x.d, outside, keys.begin - 48, keys.end - 48)};
}
PAGODA_INLINE bool whole(KeyRange keys) {
  return keys.begin == 0 && keys.end == kKeyTile;
}

constexpr float kLog2E = 0x1.715476p0f;

// What a row's weights of 64 more scores are relative to, and what its earlier sums are worth then.
struct Center {
  V at, kept;
};
// How far weights may grow beyond 1 before their center follows: a raise costs a rescaling of the row's sums,
// and a branch that no predictor guesses if it is taken for every new maximum.
constexpr float kHeadroom = 8;

// Raises the row's center to the maximum of the scores times `factor` > 0, if that is more than kHeadroom
// above it.
PAGODA_INLINE Center raise(float* maximum, const Four& s, float factor) {
  const V old = load(maximum), lanes = max(max(s.a, s.b), max(s.c, s.d));
  Center center = {max(broadcast(-0x1p126f), old), broadcast(1.0f)};
  if (!any_above(mul(lanes, broadcast(factor)), add(old, broadcast(kHeadroom)))) return center;
  const V next = max(old, mul(spread_max(lanes), broadcast(factor)));
  store(maximum, next);
  center.at = max(broadcast(-0x1p126f), next);
  center.kept = exp2(sub(old, center.at));
  return center;
}

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
