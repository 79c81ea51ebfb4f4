#include "ops/cpu/pack.h"

#include <cstring>

#include "ops/cpu/kernels.h"

namespace pagoda::cpu {
namespace {

// 128-bit vectors, which every 64-bit CPU has.
using Words = uint16_t __attribute__((vector_size(16)));
using Floats = uint32_t __attribute__((vector_size(16)));

Words low_halves(Words a, Words b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
Words high_halves(Words a, Words b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
Floats low_halves(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
Floats high_halves(Floats a, Floats b) {
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

// Transposes N vectors of N elements: each round rotates the bits of (row, column) by one, so log2 N rounds
// swap the two.
template <int N, class Vec>
void transpose(Vec (&rows)[N]) {
  for (int round = 1; round < N; round *= 2) {
    Vec next[N];
    for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = low_halves(rows[i], rows[i + N / 2]);
      next[2 * i + 1] = high_halves(rows[i], rows[i + N / 2]);
    }
    std::memcpy(rows, next, sizeof next);
  }
}

template <class Element, class Vec>
void pack(std::byte* out, const std::byte* const* rows, int64_t num_rows, int64_t k) {
  constexpr int64_t kElement = sizeof(Element), kSide = static_cast<int64_t>(sizeof(Vec)) / kElement;
  const int64_t whole = k / kSide * kSide;
  for (int64_t i = 0; i < whole; i += kSide)
    for (int64_t group = 0; group < kLanes; group += kSide) {
      Vec square[kSide] = {};
      for (int64_t r = 0; r < kSide && group + r < num_rows; ++r)
        std::memcpy(&square[r], rows[group + r] + i * kElement, sizeof(Vec));
      transpose(square);
      for (int64_t r = 0; r < kSide; ++r)
        std::memcpy(out + ((i + r) * kLanes + group) * kElement, &square[r], sizeof(Vec));
    }
  for (int64_t i = whole; i < k; ++i) {
    std::memset(out + i * kLanes * kElement, 0, static_cast<std::size_t>(kLanes * kElement));
    for (int64_t r = 0; r < num_rows; ++r)
      std::memcpy(out + (i * kLanes + r) * kElement, rows[r] + i * kElement, sizeof(Element));
  }
}

}  // namespace

void pack_panel(std::byte* out, const std::byte* const* rows, int64_t num_rows, int64_t k,
                std::size_t element_bytes) {
  if (element_bytes == 4) return pack<uint32_t, Floats>(out, rows, num_rows, k);
  return pack<uint16_t, Words>(out, rows, num_rows, k);
}

}  // namespace pagoda::cpu
