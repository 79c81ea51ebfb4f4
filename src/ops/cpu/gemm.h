// The register tile of attention's products (Q K^T, P V). Included after one of the vec_*.h, by kernel files
// only.
#pragma once

namespace pagoda::cpu {
namespace {

// N vectors with a name each: an array indexed in an unrolled loop would be kept in memory by the compiler.
template <int N>
struct Vecs {
  Vecs<N - 1> head;
  V last;
};
template <>
struct Vecs<0> {};
template <int MR, int NP>
struct Sums {
  Sums<MR - 1, NP> head;
  Vecs<NP> last;
};
template <int NP>
struct Sums<0, NP> {};

template <int N, class T>
PAGODA_INLINE void load_panels(Vecs<N>& b, const T* const* panels, int64_t offset) {
  if constexpr (N > 0) {
    load_panels<N - 1>(b.head, panels, offset);
    b.last = load(panels[N - 1] + offset);
  }
}
template <int N>
PAGODA_INLINE void fma_row(Vecs<N>& sums, const Vecs<N>& b, V x) {
  if constexpr (N > 0) {
    fma_row<N - 1>(sums.head, b.head, x);
    sums.last = fma(x, b.last, sums.last);
  }
}
template <int MR, int NP>
PAGODA_INLINE void fma_rows(Sums<MR, NP>& sums, const Vecs<NP>& b, const float* x, int64_t x_stride) {
  if constexpr (MR > 0) {
    fma_rows<MR - 1, NP>(sums.head, b, x, x_stride);
    fma_row<NP>(sums.last, b, broadcast(x[(MR - 1) * x_stride]));
  }
}
template <int N>
PAGODA_INLINE void gemm_load_row(Vecs<N>& sums, const float* c, bool from_zero) {
  if constexpr (N > 0) {
    gemm_load_row<N - 1>(sums.head, c, from_zero);
    sums.last = from_zero ? zero() : load(c + (N - 1) * kLanes);
  }
}
template <int MR, int NP>
PAGODA_INLINE void load_sums(Sums<MR, NP>& sums, const float* c, int64_t c_stride, bool from_zero) {
  if constexpr (MR > 0) {
    load_sums<MR - 1, NP>(sums.head, c, c_stride, from_zero);
    gemm_load_row<NP>(sums.last, c + (MR - 1) * c_stride, from_zero);
  }
}
template <int N>
PAGODA_INLINE void gemm_store_row(float* c, const Vecs<N>& sums) {
  if constexpr (N > 0) {
    gemm_store_row<N - 1>(c, sums.head);
    store(c + (N - 1) * kLanes, sums.last);
  }
}
template <int MR, int NP>
PAGODA_INLINE void store_sums(float* c, int64_t c_stride, const Sums<MR, NP>& sums) {
  if constexpr (MR > 0) {
    store_sums<MR - 1, NP>(c, c_stride, sums.head);
    gemm_store_row<NP>(c + (MR - 1) * c_stride, sums.last);
  }
}

// c[MR][NP * 16] (+)= x[MR][k] * panels[NP][k][16], one chain per output over ascending k; sums start at 0 or
// at c. Row i of a panel lies `step` elements behind row i - 1.
template <class T>
using GemmFn = void (*)(const float* x, int64_t x_stride, const T* const* panels, int64_t step, int64_t k,
                        float* c, int64_t c_stride, bool from_zero);

template <class T, int MR, int NP>
__attribute__((noinline)) void tile(const float* x, int64_t x_stride, const T* const* panels, int64_t step,
                                    int64_t k, float* c, int64_t c_stride, bool from_zero) {
  const T* base[NP];
  for (int i = 0; i < NP; ++i) base[i] = panels[i];
  Sums<MR, NP> sums;
  if (from_zero)
    load_sums<MR, NP>(sums, c, c_stride, true);
  else
    load_sums<MR, NP>(sums, c, c_stride, false);
  for (int64_t i = 0; i < k; ++i) {
    Vecs<NP> b;
    load_panels<NP>(b, base, i * step);
    fma_rows<MR, NP>(sums, b, x + i, x_stride);
  }
  store_sums<MR, NP>(c, c_stride, sums);
}

template <class T, int NP>
PAGODA_INLINE GemmFn<T> gemm_tile_of(int64_t rows) {
  static constexpr GemmFn<T> kByRows[] = {tile<T, 1, NP>,
                                          tile<T, 2, NP>,
                                          tile<T, 3, NP>,
                                          tile<T, 4, NP>,
                                          tile<T, least(5, kTileRows), NP>,
                                          tile<T, least(6, kTileRows), NP>};
  return kByRows[rows - 1];
}
// The tile for `rows` <= kTileRows and `panels` <= kTilePanels, or for one row and kStreamPanels.
template <class T>
static GemmFn<T> find_tile(int64_t rows, int64_t panels) {
  if (panels > kTilePanels) return tile<T, 1, kStreamPanels>;
  if (panels == 1) return gemm_tile_of<T, 1>(rows);
  if (panels == 2) return gemm_tile_of<T, least(2, kTilePanels)>(rows);
  if (panels == 3) return gemm_tile_of<T, least(3, kTilePanels)>(rows);
  return gemm_tile_of<T, kTilePanels>(rows);
}
// How many of `left` panels the next tile takes.
PAGODA_INLINE int64_t next_panels(int64_t rows, int64_t left) {
  if (rows == 1 && left >= kStreamPanels) return kStreamPanels;
  return left < kTilePanels ? left : kTilePanels;
}

// c[rows][panels * 16] (+)= x * panels for any number of either.
template <class T>
static void product(const float* x, int64_t x_stride, int64_t rows, const T* const* panels,
                    int64_t num_panels, int64_t step, int64_t k, float* c, int64_t c_stride, bool from_zero) {
  for (int64_t p = 0, count; p < num_panels; p += count) {
    count = next_panels(rows, num_panels - p);
    for (int64_t r = 0; r < rows; r += kTileRows) {
      int64_t height = rows - r < kTileRows ? rows - r : kTileRows;
      find_tile<T>(height, count)(x + r * x_stride, x_stride, panels + p, step, k,
                                  c + r * c_stride + p * kLanes, c_stride, from_zero);
    }
  }
}

}  // namespace
}  // namespace pagoda::cpu
