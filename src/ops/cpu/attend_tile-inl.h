// The register tiles of attention: sums of products of a few rows (queries, or weights) with a few vectors
// (16 keys of K, or 16 dims of V), one chain per sum. Included by attend-inl.h.
#pragma once

namespace pagoda::cpu {
namespace {
namespace attn {

// How one step of a chain multiplies: `Row` is what a row holds per step, `Vec` what memory holds, `Sum` the
// sums.
template <class T>
struct Fused {  // float rows times T; one number per step
  using Row = float;
  using Vec = V;
  using Sum = V;
  static constexpr int64_t kVecBytes = kLanes * static_cast<int64_t>(sizeof(T));
  PAGODA_INLINE V none() { return zero(); }
  PAGODA_INLINE V spread(const float* x) { return broadcast(*x); }
  PAGODA_INLINE V read(const char* p) { return load(reinterpret_cast<const T*>(p)); }
  PAGODA_INLINE V step(V sum, V x, V b) { return fma(x, b, sum); }
};
struct Words {
  using Row = uint32_t;
  using Vec = I;
  static constexpr int64_t kVecBytes = 64;
  PAGODA_INLINE I spread(const uint32_t* x) { return broadcast_word(*x); }
  PAGODA_INLINE I read(const char* p) { return load_word16(p); }
};
struct Pairs : Words {  // two bfloat16 per step
  static constexpr bool kSteps = false;
  using Sum = V;
  PAGODA_INLINE V none() { return zero(); }
  PAGODA_INLINE V step(V sum, I x, I b) { return dot2(sum, x, b); }
};
struct ScaledPairs : Pairs {  // sums have a step: see add_row
  static constexpr bool kSteps = true;
};
struct KeyQuads : Words {  // four bytes per step: unsigned keys, signed rows
  using Sum = I;
  PAGODA_INLINE I none() { return broadcast_word(0); }
  PAGODA_INLINE I step(I sum, I x, I b) { return dot4(sum, b, x); }
};
struct ValueQuads : KeyQuads {  // unsigned rows, signed values
  PAGODA_INLINE I step(I sum, I x, I b) { return dot4(sum, x, b); }
};

PAGODA_INLINE void put(float* p, V a) {
  store(p, a);
}
PAGODA_INLINE void put(float* p, I a) {
  store_word16(p, a);
}
PAGODA_INLINE void get(const float* p, V* a) {
  *a = load(p);
}
PAGODA_INLINE void get(const float* p, I* a) {
  *a = load_word16(p);
}

template <class M, int NV>
PAGODA_INLINE void read_vectors(Row<typename M::Vec, NV>& b, const char* const* p, int64_t offset) {
  if constexpr (NV > 0) {
    read_vectors<M, NV - 1>(b.head, p, offset);
    b.last = M::read(p[NV - 1] + offset);
  }
}
template <class M, int NV>
PAGODA_INLINE void read_row(Row<typename M::Vec, NV>& b, const char* p) {
  if constexpr (NV > 0) {
    read_row<M, NV - 1>(b.head, p);
    b.last = M::read(p + (NV - 1) * M::kVecBytes);
  }
}
// Asks for the lines `ahead` bytes behind those.
template <int NV>
PAGODA_INLINE void prefetch_vectors(const char* const* p, const int64_t* ahead, int64_t offset) {
  if constexpr (NV > 0) {
    prefetch_vectors<NV - 1>(p, ahead, offset);
    __builtin_prefetch(p[NV - 1] + ahead[NV - 1] + offset, 0, 2);
  }
}
template <int NV>
PAGODA_INLINE void prefetch_row(const char* p, int64_t vector_bytes) {
  if constexpr (NV > 0) {
    prefetch_row<NV - 1>(p, vector_bytes);
    __builtin_prefetch(p + (NV - 1) * vector_bytes, 0, 2);
  }
}
template <class M, int NV>
PAGODA_INLINE void step_row(Row<typename M::Sum, NV>& sums, const Row<typename M::Vec, NV>& b,
                            typename M::Vec x) {
  if constexpr (NV > 0) {
    step_row<M, NV - 1>(sums.head, b.head, x);
    sums.last = M::step(sums.last, x, b.last);
  }
}
template <class M, int MR, int NV>
PAGODA_INLINE void step_rows(Block<typename M::Sum, MR, NV>& sums, const Row<typename M::Vec, NV>& b,
                             const typename M::Row* x, int64_t x_stride) {
  if constexpr (MR > 0) {
    step_rows<M, MR - 1, NV>(sums.head, b, x, x_stride);
    step_row<M, NV>(sums.last, b, M::spread(x + (MR - 1) * x_stride));
  }
}
template <class M, int NV>
PAGODA_INLINE void begin_row(Row<typename M::Sum, NV>& sums, const float* c, bool from_zero) {
  if constexpr (NV > 0) {
    begin_row<M, NV - 1>(sums.head, c, from_zero);
    if (from_zero)
      sums.last = M::none();
    else
      get(c + (NV - 1) * kLanes, &sums.last);
  }
}
template <class M, int MR, int NV>
PAGODA_INLINE void begin_rows(Block<typename M::Sum, MR, NV>& sums, const float* c, int64_t c_stride,
                              bool from_zero) {
  if constexpr (MR > 0) {
    begin_rows<M, MR - 1, NV>(sums.head, c, c_stride, from_zero);
    begin_row<M, NV>(sums.last, c + (MR - 1) * c_stride, from_zero);
  }
}
template <class T, int NV>
PAGODA_INLINE void end_row(const Row<T, NV>& sums, float* c) {
  if constexpr (NV > 0) {
    end_row<T, NV - 1>(sums.head, c);
    put(c + (NV - 1) * kLanes, sums.last);
  }
}
template <class T, int MR, int NV>
PAGODA_INLINE void end_rows(const Block<T, MR, NV>& sums, float* c, int64_t c_stride) {
  if constexpr (MR > 0) {
    end_rows<T, MR - 1, NV>(sums.head, c, c_stride);
    end_row<T, NV>(sums.last, c + (MR - 1) * c_stride);
  }
}
// c = c * keep[row] + sums, 16 equal lanes of keep per row; with kSteps + sums * step[row], and the lanes of
// step behind those of keep.
template <bool kSteps, int NV>
PAGODA_INLINE void add_row(const Row<V, NV>& sums, float* c, const float* keep) {
  if constexpr (NV > 0) {
    add_row<kSteps, NV - 1>(sums.head, c, keep);
    V sum = sums.last;
    if constexpr (kSteps) sum = mul(sum, load(keep + kLanes));
    store(c + (NV - 1) * kLanes, fma(load(c + (NV - 1) * kLanes), load(keep), sum));
  }
}
template <bool kSteps, int MR, int NV>
PAGODA_INLINE void add_rows(const Block<V, MR, NV>& sums, float* c, int64_t c_stride, const float* keep) {
  if constexpr (MR > 0) {
    add_rows<kSteps, MR - 1, NV>(sums.head, c, c_stride, keep);
    add_row<kSteps, NV>(sums.last, c + (MR - 1) * c_stride, keep + (MR - 1) * (kSteps ? 2 : 1) * kLanes);
  }
}

// A product of rows x[r][step] with vectors whose steps lie in runs: step s of vector v lies at
// runs[s / run_length] + v * vector_bytes + s % run_length * step_bytes. Keys have one run (and a pointer
// each instead of vector_bytes), values one per panel.
template <class M>
struct Product {
  const typename M::Row* x;
  int64_t x_stride;
  const char* const* from;  // keys: NV pointers; values: one pointer per run
  const int64_t* ahead;     // of each of those, where what is read next lies
  int64_t step_bytes, steps, run_length;
  float* c;
  int64_t c_stride;
  bool from_zero;
  const float* keep;  // values as pairs only, if not null: see add_row
};

template <class M, int MR, int NV>
__attribute__((noinline)) void key_tile(const Product<M>& p) {
  const char* from[NV];
  int64_t ahead[NV];
  for (int v = 0; v < NV; ++v) from[v] = p.from[v];
  for (int v = 0; v < NV; ++v) ahead[v] = p.ahead[v];
  const auto* x = p.x;
  const int64_t x_stride = p.x_stride, end = p.steps * M::kVecBytes;
  Block<typename M::Sum, MR, NV> sums;
  begin_rows<M, MR, NV>(sums, nullptr, 0, true);
  for (int64_t offset = 0; offset < end; offset += M::kVecBytes, ++x) {
    Row<typename M::Vec, NV> b;
    read_vectors<M, NV>(b, from, offset);
    prefetch_vectors<NV>(from, ahead, offset);
    step_rows<M, MR, NV>(sums, b, x, x_stride);
  }
  end_rows<typename M::Sum, MR, NV>(sums, p.c, p.c_stride);
}

template <class M, int MR, int NV>
__attribute__((noinline)) void value_tile(const Product<M>& p, int64_t vector) {
  const auto* x = p.x;
  const int64_t x_stride = p.x_stride, step_bytes = p.step_bytes;
  float* c = p.c + vector * kLanes;
  Block<typename M::Sum, MR, NV> sums;
  if (p.from_zero)
    begin_rows<M, MR, NV>(sums, c, p.c_stride, true);
  else
    begin_rows<M, MR, NV>(sums, c, p.c_stride, false);
  const char* const* run = p.from;
  const int64_t* ahead = p.ahead;
  for (int64_t left = p.steps; left > 0; left -= p.run_length, ++run, ++ahead) {
    const int64_t by = *ahead;
    const char* from = *run + vector * M::kVecBytes;
    const char* end = from + (left < p.run_length ? left : p.run_length) * step_bytes;
    for (; from < end; from += step_bytes, ++x) {
      Row<typename M::Vec, NV> b;
      read_row<M, NV>(b, from);
      prefetch_row<NV>(from + by, M::kVecBytes);
      step_rows<M, MR, NV>(sums, b, x, x_stride);
    }
  }
  if constexpr (requires { M::kSteps; }) {
    if (p.keep != nullptr) return add_rows<M::kSteps, MR, NV>(sums, c, p.c_stride, p.keep);
  }
  end_rows<typename M::Sum, MR, NV>(sums, c, p.c_stride);
}

template <class M, int NV>
static void key_rows(const Product<M>& p, int64_t rows) {
  switch (rows) {
    case 1:
      return key_tile<M, 1, NV>(p);
    case 2:
      return key_tile<M, min_int(2, kRows), NV>(p);
    case 3:
      return key_tile<M, min_int(3, kRows), NV>(p);
    case 4:
      return key_tile<M, min_int(4, kRows), NV>(p);
    case 5:
      return key_tile<M, min_int(5, kRows), NV>(p);
    default:
      return key_tile<M, kRows, NV>(p);
  }
}
template <class M, int NV>
static void value_rows(const Product<M>& p, int64_t rows, int64_t vector) {
  switch (rows) {
    case 1:
      return value_tile<M, 1, NV>(p, vector);
    case 2:
      return value_tile<M, min_int(2, kRows), NV>(p, vector);
    case 3:
      return value_tile<M, min_int(3, kRows), NV>(p, vector);
    case 4:
      return value_tile<M, min_int(4, kRows), NV>(p, vector);
    case 5:
      return value_tile<M, min_int(5, kRows), NV>(p, vector);
    default:
      return value_tile<M, kRows, NV>(p, vector);
  }
}

// Vectors of the next tile, of `left`.
PAGODA_INLINE int64_t next_vectors(int64_t left) {
  return left >= kVectors ? kVectors : left >= 2 && kVectors >= 2 ? 2 : 1;
}
constexpr int64_t kNotAhead[kTilePanelCount] = {};

// c[rows][panels * 16] = x times the panels of K.
template <class M>
static void multiply_keys(Product<M> p, int64_t rows, int64_t panels) {
  const Product<M> all = p;
  for (int64_t v = 0, count; v < panels; v += count) {
    count = next_vectors(panels - v);
    p.from = all.from + v;
    p.ahead = all.ahead + v;
    for (int64_t r = 0; r < rows; r += kRows) {
      p.x = all.x + r * p.x_stride;
      p.c = all.c + r * p.c_stride + v * kLanes;
      if (count == 1)
        key_rows<M, 1>(p, rows - r);
      else if (count == 2)
        key_rows<M, min_int(2, kVectors)>(p, rows - r);
      else
        key_rows<M, kVectors>(p, rows - r);
      p.ahead = kNotAhead;
    }
  }
}
// c[rows][vectors * 16] = weights x times V, or added to c as the product says.
template <class M>
static void multiply_values(Product<M> p, int64_t rows, int64_t vectors) {
  const Product<M> all = p;
  for (int64_t r = 0; r < rows; r += kRows) {
    p.x = all.x + r * p.x_stride;
    p.c = all.c + r * p.c_stride;
    if constexpr (requires { M::kSteps; })
      if (p.keep != nullptr) p.keep = all.keep + r * (M::kSteps ? 2 : 1) * kLanes;
    if (r > 0) p.ahead = kNotAhead;
    for (int64_t v = 0, count; v < vectors; v += count) {
      count = next_vectors(vectors - v);
      if (count == 1)
        value_rows<M, 1>(p, rows - r, v);
      else if (count == 2)
        value_rows<M, min_int(2, kVectors)>(p, rows - r, v);
      else
        value_rows<M, kVectors>(p, rows - r, v);
    }
  }
}

}  // namespace attn
}  // namespace
}  // namespace pagoda::cpu
