#pragma once
#include <cstddef>
#include <cstdint>

namespace pagoda::cpu {

// Interleaves up to 16 rows of k elements of 2 or 4 bytes, at any alignment, into one panel: out[i * 16 +
// row] = rows[row][i]; the columns of missing rows are zero.
void pack_panel(std::byte* out, const std::byte* const* rows, int64_t num_rows, int64_t k,
                std::size_t element_bytes);

}  // namespace pagoda::cpu
