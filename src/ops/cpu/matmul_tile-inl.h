// Register tiles of the products with packed weights. Included after one of the vec_*-inl.h, by kernel files
// only.
#pragma once

namespace pagoda::cpu {
namespace {

// How each kind of weight is multiplied: Sum += B (16 lanes of the panel) * A (a word of x, in all lanes).
struct F32Dot {
  using Sum = V;
  using A = V;
  static constexpr int64_t kLaneBytes = 4;
  PAGODA_INLINE V load_lanes(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
  PAGODA_INLINE V word(uint32_t x) { return broadcast(__builtin_bit_cast(float, x)); }
  PAGODA_INLINE V mac(V sum, V b, V a) { return fma(a, b, sum); }
};
struct F16Dot : F32Dot {
  static constexpr int64_t kLaneBytes = 2;
  PAGODA_INLINE V load_lanes(const std::byte* p) { return load(reinterpret_cast<const F16*>(p)); }
};
struct Bf16Dot {
  using Sum = V;
  using A = I;
  static constexpr int64_t kLaneBytes = 4;
  PAGODA_INLINE I load_lanes(const std::byte* p) { return load_word16(p); }
  PAGODA_INLINE I word(uint32_t x) { return broadcast_word(x); }
  PAGODA_INLINE V mac(V sum, I b, I a) { return dot2(sum, b, a); }
};
struct Int8Dot {
  using Sum = I;
  using A = I;
  static constexpr int64_t kLaneBytes = 4;
  PAGODA_INLINE I load_lanes(const std::byte* p) { return load_word16(p); }
  PAGODA_INLINE I word(uint32_t x) { return broadcast_word(x); }
  PAGODA_INLINE I mac(I sum, I b, I a) { return dot4(sum, b, a); }
};

template <class D, int NV>
PAGODA_INLINE void load_b(Row<typename D::A, NV>& b, const std::byte* p) {
  if constexpr (NV > 0) {
    load_b<D, NV - 1>(b.head, p);
    b.last = D::load_lanes(p + (NV - 1) * kLanes * D::kLaneBytes);
  }
}
template <class D, int NV>
PAGODA_INLINE void mac_row(Row<typename D::Sum, NV>& sums, const Row<typename D::A, NV>& b, typename D::A a) {
  if constexpr (NV > 0) {
    mac_row<D, NV - 1>(sums.head, b.head, a);
    sums.last = D::mac(sums.last, b.last, a);
  }
}
template <class D, int MR, int NV>
PAGODA_INLINE void mac_block(Block<typename D::Sum, MR, NV>& sums, const Row<typename D::A, NV>& b,
                             const uint32_t* x, int64_t x_stride) {
  if constexpr (MR > 0) {
    mac_block<D, MR - 1, NV>(sums.head, b, x, x_stride);
    mac_row<D, NV>(sums.last, b, D::word(x[(MR - 1) * x_stride]));
  }
}

PAGODA_INLINE void load_sum(V& sum, const uint32_t* c) {
  sum = load(reinterpret_cast<const float*>(c));
}
PAGODA_INLINE void load_sum(I& sum, const uint32_t* c) {
  sum = load_word16(c);
}
PAGODA_INLINE void store_sum(uint32_t* c, V sum) {
  store(reinterpret_cast<float*>(c), sum);
}
PAGODA_INLINE void store_sum(uint32_t* c, I sum) {
  store_word16(c, sum);
}
template <int NV>
PAGODA_INLINE void start_row(Row<V, NV>& sums) {
  if constexpr (NV > 0) {
    start_row<NV - 1>(sums.head);
    sums.last = zero();
  }
}
// Floats start at 0.
template <int MR, int NV>
PAGODA_INLINE void start_block(Block<V, MR, NV>& block, const int32_t*, int64_t) {
  if constexpr (MR > 0) {
    start_block<MR - 1, NV>(block.head, nullptr, 0);
    start_row<NV>(block.last);
  }
}
template <int NV>
PAGODA_INLINE void start_row(Row<I, NV>& sums, int32_t start) {
  if constexpr (NV > 0) {
    start_row<NV - 1>(sums.head, start);
    sums.last = broadcast_word(static_cast<uint32_t>(start));
  }
}
// Integers of row r start at offset_sums[r * stride].
template <int MR, int NV>
PAGODA_INLINE void start_block(Block<I, MR, NV>& block, const int32_t* offset_sums, int64_t stride) {
  if constexpr (MR > 0) {
    start_block<MR - 1, NV>(block.head, offset_sums, stride);
    start_row<NV>(block.last, offset_sums[(MR - 1) * stride]);
  }
}
template <class T, int NV>
PAGODA_INLINE void load_row(Row<T, NV>& sums, const uint32_t* c) {
  if constexpr (NV > 0) {
    load_row<T, NV - 1>(sums.head, c);
    load_sum(sums.last, c + (NV - 1) * kLanes);
  }
}
template <class T, int MR, int NV>
PAGODA_INLINE void load_block(Block<T, MR, NV>& block, const uint32_t* c) {
  if constexpr (MR > 0) {
    load_block<T, MR - 1, NV>(block.head, c);
    load_row<T, NV>(block.last, c + (MR - 1) * kPanel);
  }
}
template <class T, int NV>
PAGODA_INLINE void store_row(uint32_t* c, const Row<T, NV>& sums) {
  if constexpr (NV > 0) {
    store_row<T, NV - 1>(c, sums.head);
    store_sum(c + (NV - 1) * kLanes, sums.last);
  }
}
template <class T, int MR, int NV>
PAGODA_INLINE void store_block(uint32_t* c, const Block<T, MR, NV>& block) {
  if constexpr (MR > 0) {
    store_block<T, MR - 1, NV>(c, block.head);
    store_row<T, NV>(c + (MR - 1) * kPanel, block.last);
  }
}

// One tile of a panel: c[MR][NV * 16 of 64] (+)= x[MR][steps] * w[steps][64 lanes].
struct TileTask {
  const uint32_t* x;
  int64_t x_stride;
  const std::byte* w;  // at the tile's first column
  int64_t steps;       // kInt4: groups
  int64_t group_words;
  uint32_t* c;
  bool is_first;               // sums start anew, else at c
  const int32_t* offset_sums;  // of integer sums, at the tile's first row and group; null: floats
  int64_t offset_stride;
  const std::byte* next;  // what will be read next: with every step, the line there is asked for, and one
  int64_t next_step, next_line;  // `next_line` bytes behind it, and `next` moves on by `next_step`
  bool past_l2;  // a step asks for as much as it reads instead, without a place for it in the outer caches
};
using TileFn = void (*)(const TileTask& task);

PAGODA_INLINE void prefetch_line(const std::byte* p, int64_t line) {
  __builtin_prefetch(p, 0, 3);
  __builtin_prefetch(p + line, 0, 3);
}

// `bytes` of what is read once: from memory to the nearest cache.
template <int64_t kBytes>
PAGODA_INLINE void prefetch_once(const std::byte* p) {
  if constexpr (kBytes > 0) {
    prefetch_once<kBytes - 64>(p);
    __builtin_prefetch(p + kBytes - 64, 0, 0);
  }
}

template <class D, int MR, int NV, bool kPastL2 = false>
__attribute__((noinline)) void dot_tile(const TileTask& task) {
  constexpr int64_t kStep = kPanel * D::kLaneBytes;
  Block<typename D::Sum, MR, NV> sums;
  if (task.is_first)
    start_block<MR, NV>(sums, task.offset_sums, task.offset_stride);
  else
    load_block<typename D::Sum, MR, NV>(sums, task.c);
  const uint32_t* x = task.x;
  const std::byte *w = task.w, *next = task.next;
  for (int64_t i = 0; i < task.steps; ++i) {
    Row<typename D::A, NV> b;
    load_b<D, NV>(b, w);
    if constexpr (kPastL2)
      prefetch_once<kStep>(next);
    else
      prefetch_line(next, task.next_line);
    mac_block<D, MR, NV>(sums, b, x + i, task.x_stride);
    w += kStep;
    next += task.next_step;
  }
  store_block<typename D::Sum, MR, NV>(task.c, sums);
}

template <int MR, int NV>
PAGODA_INLINE void zero_block(Block<I, MR, NV>& block) {
  constexpr int32_t kNothing = 0;
  start_block<MR, NV>(block, &kNothing, 0);
}

// Sums of a group of int4 products times the group's scales, added to the sums so far.
template <int NV, bool kZeros>
PAGODA_INLINE void scale_row(Row<V, NV>& totals, const Row<I, NV>& sums, const Row<V, NV>& scales,
                             const Row<V, NV>& zeros, V x_sum) {
  if constexpr (NV > 0) {
    scale_row<NV - 1, kZeros>(totals.head, sums.head, scales.head, zeros.head, x_sum);
    V sum = to_float(sums.last);  // both exact: magnitudes below 2^24
    if constexpr (kZeros) sum = sub(sum, mul(zeros.last, x_sum));
    totals.last = fma(sum, scales.last, totals.last);
  }
}
template <int MR, int NV, bool kZeros>
PAGODA_INLINE void scale_block(Block<V, MR, NV>& totals, const Block<I, MR, NV>& sums,
                               const Row<V, NV>& scales, const Row<V, NV>& zeros, const int32_t* x_sums,
                               int64_t stride) {
  if constexpr (MR > 0) {
    scale_block<MR - 1, NV, kZeros>(totals.head, sums.head, scales, zeros, x_sums, stride);
    V x_sum = kZeros ? broadcast(static_cast<float>(x_sums[(MR - 1) * stride])) : zero();
    scale_row<NV, kZeros>(totals.last, sums.last, scales, zeros, x_sum);
  }
}
template <int NV>
PAGODA_INLINE void load_scales(Row<V, NV>& scales, const std::byte* p) {
  if constexpr (NV > 0) {
    load_scales<NV - 1>(scales.head, p);
    scales.last = load(reinterpret_cast<const F16*>(p) + (NV - 1) * kLanes);
  }
}
template <int NV>
PAGODA_INLINE void load_zeros(Row<V, NV>& zeros, const std::byte* p) {
  if constexpr (NV > 0) {
    load_zeros<NV - 1>(zeros.head, p);
    zeros.last = load_bytes(reinterpret_cast<const uint8_t*>(p) + (NV - 1) * kLanes);
  }
}
template <int NV>
PAGODA_INLINE void low_row(Row<I, NV>& out, const Row<I, NV>& b) {
  if constexpr (NV > 0) {
    low_row<NV - 1>(out.head, b.head);
    out.last = low_nibbles(b.last);
  }
}
template <int NV>
PAGODA_INLINE void high_row(Row<I, NV>& out, const Row<I, NV>& b) {
  if constexpr (NV > 0) {
    high_row<NV - 1>(out.head, b.head);
    out.last = high_nibbles(b.last);
  }
}

// `column` lanes into the panel; scales and zero points of a group lie behind its codes.
template <int MR, int NV, bool kZeros, bool kPastL2 = false>
__attribute__((noinline)) void group_tile(const TileTask& task, int64_t column) {
  const int64_t pairs = task.group_words / 2, codes = pairs * kPanel * 4;
  const std::byte *group = task.w, *next = task.next;
  const uint32_t* x = task.x;
  const int32_t* offset_sums = task.offset_sums;
  Block<V, MR, NV> totals;
  if (task.is_first)
    start_block<MR, NV>(totals, nullptr, 0);
  else
    load_block<V, MR, NV>(totals, task.c);
  for (int64_t g = 0; g < task.steps; ++g) {
    Block<I, MR, NV> sums;
    if constexpr (kZeros)
      zero_block<MR, NV>(sums);
    else
      start_block<MR, NV>(sums, offset_sums, task.offset_stride);
    const std::byte* w = group + column * 4;
    for (int64_t i = 0; i < pairs; ++i) {
      Row<I, NV> b, part;
      load_b<Int8Dot, NV>(b, w);
      if constexpr (kPastL2)
        prefetch_once<kPanel * 4>(next);
      else
        prefetch_line(next, task.next_line);
      low_row<NV>(part, b);
      mac_block<Int8Dot, MR, NV>(sums, part, x, task.x_stride);
      high_row<NV>(part, b);
      mac_block<Int8Dot, MR, NV>(sums, part, x + 1, task.x_stride);
      w += kPanel * 4;
      x += 2;
      next += task.next_step;
    }
    Row<V, NV> scales, zeros;
    load_scales<NV>(scales, group + codes + column * 2);
    if constexpr (kZeros) load_zeros<NV>(zeros, group + codes + kPanel * 2 + column);
    scale_block<MR, NV, kZeros>(totals, sums, scales, zeros, offset_sums, task.offset_stride);
    group += codes + kPanel * (kZeros ? 3 : 2);
    ++offset_sums;
  }
  store_block<V, MR, NV>(task.c, totals);
}

}  // namespace
}  // namespace pagoda::cpu
