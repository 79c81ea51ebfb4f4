// Groups of the cache where only ids matter, or ids and bytes.
#pragma once
#include "contract/kv_group.h"

namespace pagoda::testing {

inline KvGroupSpec full_group(int32_t block_size, uint64_t block_bytes = 0) {
  return {.kind = KvKind::kFullAttention, .block_size = block_size, .layers = {}, .block_bytes = block_bytes};
}
inline KvGroupSpec window_group(int32_t block_size, int32_t window, uint64_t block_bytes = 0,
                                int32_t num_layers = 1) {
  return {.kind = KvKind::kSlidingWindow,
          .window = window,
          .block_size = block_size,
          .layers = std::vector<int32_t>(static_cast<std::size_t>(num_layers)),
          .block_bytes = block_bytes};
}
inline KvGroupSpec state_group(int32_t block_size, uint64_t block_bytes = 0) {
  return {
      .kind = KvKind::kRecurrentState, .block_size = block_size, .layers = {}, .block_bytes = block_bytes};
}

}  // namespace pagoda::testing
