#pragma once
#include <cstddef>
#include <cstdint>

namespace pagoda::cpu {

// out[i * 64 + r] = word i of rows[r], for 64 rows of `num_bytes` bytes at any alignment; the last word is
// filled up with zeros.
void transpose_words(uint32_t* out, const std::byte* const* rows, int64_t num_bytes);
// The same with words of 16 bits; num_bytes is even.
void transpose_halves(uint16_t* out, const std::byte* const* rows, int64_t num_bytes);

}  // namespace pagoda::cpu
