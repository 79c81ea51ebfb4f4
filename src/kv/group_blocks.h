// Which blocks of a group a sequence needs: the arithmetic of tables, by the group's kind.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "contract/kv_group.h"

namespace pagoda {

// Whether positions see all before them, so that a sequence holds every block.
inline bool sees_all(const KvGroupSpec& group) {
  return group.kind == KvKind::kFullAttention || group.kind == KvKind::kMlaLatent;
}

// The first entry of a table that is read when the position `num_computed` is computed: blocks before it are
// out of the window. A recurrent state is read where the position before left it.
inline int32_t first_visible(const KvGroupSpec& group, int32_t num_computed) {
  switch (group.kind) {
    case KvKind::kSlidingWindow:
      return std::max(num_computed - group.window + 1, 0) / group.block_size;
    case KvKind::kRecurrentState:
      return std::max(num_computed - 1, 0) / group.block_size;
    default:
      return 0;
  }
}

// The most blocks, over all groups, that a sequence of num_tokens tokens can hold at once when no step
// computes more than max_step.
inline int64_t blocks_per_sequence(std::span<const KvGroupSpec> groups, int64_t num_tokens,
                                   int64_t max_step) {
  int64_t total = 0;
  for (const KvGroupSpec& group : groups) {
    int64_t blocks = (num_tokens + group.block_size - 1) / group.block_size;
    if (group.kind == KvKind::kSlidingWindow) {
      // What the first of a step's tokens sees, and the step; it may begin anywhere within a block.
      const int64_t visible = int64_t{group.window} - 1 + max_step;
      blocks = std::min(blocks, (visible + group.block_size - 1) / group.block_size + 1);
    } else if (group.kind == KvKind::kRecurrentState) {
      blocks = std::min<int64_t>(blocks, 2);  // the state that a step reads, and the one that it leaves
    }
    total += blocks;
  }
  return total;
}

}  // namespace pagoda
