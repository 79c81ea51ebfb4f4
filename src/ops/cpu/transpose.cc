#include "ops/cpu/transpose.h"

#include <cstring>

#include "ops/cpu/matmul_kernels.h"

namespace pagoda::cpu {
namespace {

// 128-bit vectors, which every 64-bit CPU has.
using Words = uint32_t __attribute__((vector_size(16)));

Words low_halves(Words a, Words b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
Words high_halves(Words a, Words b) {
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
Words load(const std::byte* p) {
  Words words;
  std::memcpy(&words, p, sizeof words);
  return words;
}

// Sixteen bytes of four rows each, to four rows of the output.
void transpose_square(uint32_t* out, const std::byte* const* rows, int64_t offset) {
  const Words a = load(rows[0] + offset), b = load(rows[1] + offset), c = load(rows[2] + offset),
              d = load(rows[3] + offset);
  const Words ac_low = low_halves(a, c), ac_high = high_halves(a, c), bd_low = low_halves(b, d),
              bd_high = high_halves(b, d);
  const Words columns[] = {low_halves(ac_low, bd_low), high_halves(ac_low, bd_low),
                           low_halves(ac_high, bd_high), high_halves(ac_high, bd_high)};
  for (int64_t i = 0; i < 4; ++i) std::memcpy(out + i * kPanel, &columns[i], sizeof(Words));
}

}  // namespace

void transpose_words(uint32_t* out, const std::byte* const* rows, int64_t num_bytes) {
  constexpr int64_t kSquare = sizeof(Words);
  const int64_t whole = num_bytes / kSquare * kSquare;
  for (int64_t offset = 0; offset < whole; offset += kSquare)
    for (int64_t row = 0; row < kPanel; row += 4)
      transpose_square(out + offset / 4 * kPanel + row, rows + row, offset);
  for (int64_t offset = whole; offset < num_bytes; offset += 4)
    for (int64_t row = 0; row < kPanel; ++row) {
      uint32_t word = 0;
      std::memcpy(&word, rows[row] + offset,
                  static_cast<std::size_t>(num_bytes - offset < 4 ? num_bytes - offset : 4));
      out[offset / 4 * kPanel + row] = word;
    }
}

void transpose_halves(uint16_t* out, const std::byte* const* rows, int64_t num_bytes) {
  for (int64_t offset = 0; offset < num_bytes; offset += 2)
    for (int64_t row = 0; row < kPanel; ++row)
      std::memcpy(out + offset / 2 * kPanel + row, rows[row] + offset, sizeof(uint16_t));
}

}  // namespace pagoda::cpu
