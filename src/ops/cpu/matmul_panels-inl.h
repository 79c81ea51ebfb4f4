// The product of some rows of x with some panels of a packed weight. Included after matmul_tile-inl.h and
// rows-inl.h, by kernel files only.
#pragma once

namespace pagoda::cpu {
namespace {

// How each kind of weight is cut: steps per pass of all rows over a panel (so that what they share stays in
// the second-level cache; sums are is_partial between passes, which changes no bit), and the register tile. A
// tile as wide as a panel reads it once.
constexpr int kPanelVectors = kPanel / kLanes;

template <class D>
struct DotCut {
  static constexpr int kRows = kTileRows;
  static int64_t slice_steps(const MatmulTask& task) { return task.slice_words; }
  static int64_t words(const MatmulTask&) { return 1; }
  static int64_t step_bytes(const MatmulTask&) { return kPanel * D::kLaneBytes; }

  template <int NV, bool kPastL2>
  static TileFn tile_of(int64_t rows) {
    static constexpr TileFn kByRows[] = {dot_tile<D, 1, NV, kPastL2>,
                                         dot_tile<D, 2, NV, kPastL2>,
                                         dot_tile<D, 3, NV, kPastL2>,
                                         dot_tile<D, 4, NV, kPastL2>,
                                         dot_tile<D, min_int(5, kTileRows), NV, kPastL2>,
                                         dot_tile<D, min_int(6, kTileRows), NV, kPastL2>};
    return kByRows[rows - 1];
  }
  static int64_t vectors(int64_t rows) { return rows == 1 ? kRowVectors : kTileVectors; }
  static void run(TileTask task, int64_t rows, int64_t column) {
    task.w += column * D::kLaneBytes;
    if (rows == 1)
      (task.past_l2 ? dot_tile<D, 1, kRowVectors, kRowVectors == kPanelVectors>
                    : dot_tile<D, 1, kRowVectors>)(task);
    else
      (task.past_l2 ? tile_of<kTileVectors, kTileVectors == kPanelVectors>(rows)
                    : tile_of<kTileVectors, false>(rows))(task);
  }
};

template <bool kZeros>
struct GroupCut {
  static constexpr int kRows = kGroupRows;
  static int64_t slice_steps(const MatmulTask& task) {
    return task.slice_words < task.group_words ? 1 : task.slice_words / task.group_words;
  }
  static int64_t words(const MatmulTask& task) { return task.group_words; }
  static int64_t step_bytes(const MatmulTask& task) {
    return task.group_words / 2 * kPanel * 4 + kPanel * (kZeros ? 3 : 2);
  }

  using Fn = void (*)(const TileTask&, int64_t);
  template <int NV>
  static Fn tile_of(int64_t rows) {
    static constexpr Fn kByRows[] = {group_tile<1, NV, kZeros>,
                                     group_tile<2, NV, kZeros>,
                                     group_tile<min_int(3, kGroupRows), NV, kZeros>,
                                     group_tile<min_int(4, kGroupRows), NV, kZeros>,
                                     group_tile<min_int(5, kGroupRows), NV, kZeros>,
                                     group_tile<min_int(6, kGroupRows), NV, kZeros>};
    return kByRows[rows - 1];
  }
  template <bool kPastL2>
  static Fn few_tile(int64_t rows) {
    static constexpr Fn kByRows[] = {
        group_tile<1, kGroupFewVectors, kZeros, kPastL2>,
        group_tile<min_int(2, kGroupFewRows), kGroupFewVectors, kZeros, kPastL2>,
        group_tile<min_int(3, kGroupFewRows), kGroupFewVectors, kZeros, kPastL2>};
    return kByRows[rows - 1];
  }
  static int64_t vectors(int64_t rows) { return rows <= kGroupFewRows ? kGroupFewVectors : kGroupVectors; }
  static void run(const TileTask& task, int64_t rows, int64_t column) {
    if (rows > kGroupFewRows) return tile_of<kGroupVectors>(rows)(task, column);
    (task.past_l2 ? few_tile<kGroupFewVectors == kPanelVectors>(rows) : few_tile<false>(rows))(task, column);
  }
};

// What finishes the sums of a panel: read once for all rows.
struct Finish {
  Row<V, kPanelVectors> scales, bias;  // kInt8: of the outputs; bias: if there is one
  bool is_integer, has_scales, has_bias;
};
template <int NV>
PAGODA_INLINE void load_floats(Row<V, NV>& out, const float* p) {
  if constexpr (NV > 0) {
    load_floats<NV - 1>(out.head, p);
    out.last = load(p + (NV - 1) * kLanes);
  }
}
PAGODA_INLINE Finish finish_of(const MatmulTask& task, int64_t panel) {
  Finish finish;
  finish.is_integer = task.dot >= Dot::kInt8;
  finish.has_scales = task.dot == Dot::kInt8;
  finish.has_bias = task.bias != nullptr;
  if (finish.has_scales)
    load_floats<kPanelVectors>(
        finish.scales, reinterpret_cast<const float*>(task.panels + (panel + 1) * task.panel_bytes) - kPanel);
  if (finish.has_bias) load_floats<kPanelVectors>(finish.bias, task.bias + panel * kPanel);
  return finish;
}
// One row's sums as numbers.
template <int NV>
PAGODA_INLINE void finished(Row<V, NV>& out, const uint32_t* c, const Finish& finish,
                            const Row<V, NV>& scales, const Row<V, NV>& bias, V x_scale) {
  if constexpr (NV > 0) {
    finished<NV - 1>(out.head, c, finish, scales.head, bias.head, x_scale);
    c += (NV - 1) * kLanes;
    V sum = finish.has_scales ? mul(to_float(load_word16(c)), scales.last)
                              : load(reinterpret_cast<const float*>(c));
    if (finish.is_integer) sum = mul(sum, x_scale);
    out.last = finish.has_bias ? add(sum, bias.last) : sum;
  }
}

template <bool kBf16>
PAGODA_INLINE void put(const MatmulTask& task, int64_t row, int64_t column, int64_t width, V sum) {
  if constexpr (kBf16) {
    Bf16* y = static_cast<Bf16*>(task.y) + row * task.y_stride + column;
    if (width >= kLanes) return store(y, sum);
    Bf16 lane[kLanes];
    store(lane, sum);
    for (int64_t i = 0; i < width; ++i) y[i] = lane[i];
  } else {
    float* y = static_cast<float*>(task.y) + row * task.y_stride + column;
    if (task.write == Write::kAdd) sum = add(load_n(y, width), sum);
    store_n(y, sum, width);
  }
}
// A row's numbers to where they belong, `width` of them or as many as there are.
template <bool kBf16, int NV>
PAGODA_INLINE void put_row(const MatmulTask& task, int64_t row, int64_t column, int64_t width,
                           const Row<V, NV>& sums) {
  if constexpr (NV > 0) {
    put_row<kBf16, NV - 1>(task, row, column, width, sums.head);
    const int64_t at = (NV - 1) * kLanes;
    if (width > at) put<kBf16>(task, row, column + at, width - at, sums.last);
  }
}

// What becomes of a panel's sums: they are the numbers, or one half of them gates the other.
enum class Join : uint8_t { kNone, kSilu, kGelu };

template <Join kJoin>
PAGODA_INLINE V joined(V gate, V up) {
  return mul(kJoin == Join::kSilu ? silu(gate) : gelu_tanh(gate), up);
}

// Rows [row, row + rows) of one panel.
template <Join kJoin, bool kBf16>
static void write_rows(const MatmulTask& task, int64_t row, int64_t rows, int64_t panel, const uint32_t* c) {
  static_assert(kPanelVectors == 4);  // gated: two of the gate, then two of the other
  constexpr bool kGated = kJoin != Join::kNone;
  const int64_t width = kGated ? kPanel / 2 : kPanel, first = panel * width;
  const int64_t left = (kGated ? task.n / 2 : task.n) - first;
  const Finish finish = finish_of(task, panel);
  for (int64_t r = row; r < row + rows; ++r, c += kPanel) {
    Row<V, kPanelVectors> sums;
    const V x_scale = broadcast(finish.is_integer ? task.x_scale[r] : 1.0f);
    finished<kPanelVectors>(sums, c, finish, finish.scales, finish.bias, x_scale);
    if constexpr (kGated) {
      Row<V, 2> products;
      products.last = joined<kJoin>(sums.head.head.last, sums.last);
      products.head.last = joined<kJoin>(sums.head.head.head.last, sums.head.last);
      put_row<kBf16, 2>(task, r, first, left, products);
    } else {
      put_row<kBf16, kPanelVectors>(task, r, first, left, sums);
    }
  }
}
static void write_rows(const MatmulTask& task, int64_t row, int64_t rows, int64_t panel, const uint32_t* c) {
  switch (task.write) {
    case Write::kStore:
    case Write::kAdd:
      return write_rows<Join::kNone, false>(task, row, rows, panel, c);
    case Write::kStoreBf16:
      return write_rows<Join::kNone, true>(task, row, rows, panel, c);
    case Write::kSiluMul:
      return write_rows<Join::kSilu, false>(task, row, rows, panel, c);
    case Write::kSiluMulBf16:
      return write_rows<Join::kSilu, true>(task, row, rows, panel, c);
    case Write::kGeluMul:
      return write_rows<Join::kGelu, false>(task, row, rows, panel, c);
    case Write::kGeluMulBf16:
      return write_rows<Join::kGelu, true>(task, row, rows, panel, c);
  }
}

// A panel that is read once is asked for `near_bytes` ahead of the tile (0: nothing is; the tile then asks
// for what it is about to read). One that several tiles read comes from memory with the first of them, which
// would wait for it while the others leave memory idle: instead each asks for its share of the slice behind
// this one.
template <class Cut>
static void run_slice(const MatmulTask& task, TileTask tile, int64_t most_rows, bool is_last, int64_t panel) {
  const bool is_partial = tile.steps < task.steps;
  const int64_t tiles = (task.m + most_rows - 1) / most_rows;
  const int64_t slice_bytes = tile.steps * Cut::step_bytes(task);
  const std::byte *w = tile.w, *next = w + slice_bytes;  // what follows in memory is what is read next
  const uint32_t* x = tile.x;
  const int32_t* offset_sums = tile.offset_sums;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t row = task.m * i / tiles, rows = task.m * (i + 1) / tiles - row;
    const int64_t vectors = Cut::vectors(rows), passes = tiles * (kPanelVectors / vectors);
    tile.x = x + row * task.x_stride;
    tile.offset_sums = offset_sums == nullptr ? nullptr : offset_sums + row * task.x_groups;
    tile.c = task.partial_sums + (is_partial ? row * kPanel : 0);
    const int64_t asks = tile.steps * (Cut::words(task) > 1 ? Cut::words(task) / 2 : 1);
    tile.next_step = (slice_bytes / passes + asks - 1) / asks;
    tile.next_line = tile.next_step > 64 ? 64 : 0;
    tile.past_l2 = passes == 1 && task.near_past_l2;
    for (int64_t v = 0, pass = i * (kPanelVectors / vectors); v < kPanelVectors; v += vectors, ++pass) {
      tile.next = passes == 1 ? w + task.near_bytes : next + slice_bytes * pass / passes;
      tile.w = w;
      TileTask part = tile;
      part.c = tile.c + v * kLanes;
      Cut::run(part, rows, v * kLanes);
    }
    if (is_last) write_rows(task, row, rows, panel, tile.c);
  }
}

template <class Cut>
static void matmul_of(const MatmulTask& task) {
  const int64_t most_rows = task.tile_rows < Cut::kRows ? task.tile_rows : Cut::kRows;
  const int64_t slice = task.m <= most_rows ? task.steps : Cut::slice_steps(task);
  for (int64_t panel = task.panel_begin; panel < task.panel_end; ++panel)
    for (int64_t begin = 0; begin < task.steps; begin += slice) {
      TileTask tile{};
      tile.x = task.x + begin * Cut::words(task);
      tile.x_stride = task.x_stride;
      tile.w = task.panels + panel * task.panel_bytes + begin * Cut::step_bytes(task);
      tile.steps = task.steps - begin < slice ? task.steps - begin : slice;
      tile.group_words = task.group_words;
      tile.is_first = begin == 0;
      tile.offset_sums =
          task.x_offset_sums == nullptr ? nullptr : task.x_offset_sums + (task.x_groups > 1 ? begin : 0);
      tile.offset_stride = task.x_groups;
      run_slice<Cut>(task, tile, most_rows, begin + tile.steps == task.steps, panel);
    }
}

static void matmul(const MatmulTask& task) {
  switch (task.dot) {
    case Dot::kF32:
      return matmul_of<DotCut<F32Dot>>(task);
    case Dot::kF16:
      return matmul_of<DotCut<F16Dot>>(task);
    case Dot::kBF16:
      return matmul_of<DotCut<Bf16Dot>>(task);
    case Dot::kInt8:
      return matmul_of<DotCut<Int8Dot>>(task);
    case Dot::kInt4:
      return matmul_of<GroupCut<false>>(task);
    case Dot::kInt4Zeros:
      return matmul_of<GroupCut<true>>(task);
  }
}

// The code at position i of column `column`'s lanes, and what it stands for.
static float code_at(const std::byte* panel, int64_t column, int64_t i, int64_t group_words, bool has_zeros) {
  const int64_t group = i / (group_words * 4), at = i % (group_words * 4);
  const int64_t codes = group_words / 2 * kPanel * 4, group_bytes = codes + kPanel * (has_zeros ? 3 : 2);
  const std::byte* base = panel + group * group_bytes;
  const auto byte = static_cast<int>(base[(at / 8 * kPanel + column) * 4 + at % 4]);
  const int code = at % 8 < 4 ? byte & 15 : byte >> 4;
  const int zero = has_zeros ? static_cast<int>(base[codes + kPanel * 2 + column]) : 8;
  float scale[kLanes];
  store(scale, load(reinterpret_cast<const F16*>(base + codes) + column / kLanes * kLanes));
  return static_cast<float>(code - zero) * scale[column % kLanes];
}

static void gather(Dot dot, float* out, const std::byte* panel, int64_t column, int64_t steps,
                   int64_t group_words, int64_t k) {
  const float scale =
      dot == Dot::kInt8 ? reinterpret_cast<const float*>(panel + steps * kPanel * 4)[column] : 1.0f;
  for (int64_t i = 0; i < k; ++i) switch (dot) {
      case Dot::kF32:
        out[i] = reinterpret_cast<const float*>(panel)[i * kPanel + column];
        break;
      case Dot::kF16: {
        F16 lane[kLanes] = {reinterpret_cast<const F16*>(panel)[i * kPanel + column]};
        float wide[kLanes];
        store(wide, load(lane));
        out[i] = wide[0];
        break;
      }
      case Dot::kBF16:
        out[i] = __builtin_bit_cast(float, static_cast<uint32_t>(reinterpret_cast<const uint16_t*>(
                                               panel)[(i / 2 * kPanel + column) * 2 + i % 2])
                                               << 16);
        break;
      case Dot::kInt8:
        out[i] =
            static_cast<float>(static_cast<int>(panel[(i / 4 * kPanel + column) * 4 + i % 4]) - 128) * scale;
        break;
      case Dot::kInt4:
      case Dot::kInt4Zeros:
        out[i] = code_at(panel, column, i, group_words, dot == Dot::kInt4Zeros);
        break;
    }
}

constexpr MatmulKernels kMatmulKernels = {matmul, gather};

}  // namespace
}  // namespace pagoda::cpu
