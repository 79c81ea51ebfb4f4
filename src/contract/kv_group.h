#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

namespace pagoda {

// One per attention kind of a model (full, window). Block ids are shared by all groups' tables but mean other
// bytes. All groups of a model have the same block size.
struct KvGroupSpec {
  int32_t block_size;  // tokens
  int32_t window;      // 0: all tokens stay; otherwise a position sees itself and the window - 1 before it
  uint64_t block_bytes = 0;  // over all layers of the group; 0 where only ids matter
};

// The most blocks, over all groups, that a sequence of num_tokens tokens can hold at once when no step
// computes more than max_step.
inline int64_t blocks_per_sequence(std::span<const KvGroupSpec> groups, int64_t num_tokens,
                                   int64_t max_step) {
  int64_t total = 0;
  for (const KvGroupSpec& group : groups) {
    int64_t blocks = (num_tokens + group.block_size - 1) / group.block_size;
    if (group.window > 0) {
      // What the first of a step's tokens sees, and the step; it may begin anywhere within a block.
      const int64_t visible = int64_t{group.window} - 1 + max_step;
      blocks = std::min(blocks, (visible + group.block_size - 1) / group.block_size + 1);
    }
    total += blocks;
  }
  return total;
}

}  // namespace pagoda
