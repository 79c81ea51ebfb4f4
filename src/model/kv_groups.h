// Groups of layers by what they keep of a sequence. All groups take pages of one size from one pool, so that
// the memory of a model whose layers differ is what its layers need.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "contract/kv_group.h"
#include "model/config.h"

namespace pagoda {

// What one layer keeps, in any unit that is common to all: per token, or, of kRecurrentState, per sequence.
struct KvLayerNeed {
  KvKind kind = KvKind::kFullAttention;
  int32_t window = 0;  // kSlidingWindow
  uint64_t bytes = 0;
};

struct KvGrouping {
  std::vector<KvGroupSpec>
      groups;              // full attention first, then latent, window, state; block_bytes: of a page
  int32_t block_size = 0;  // of all: a page of tokens holds what a state takes
  uint64_t page_bytes = 0;
};

// The fewest groups whose pages waste at most 3 % at 32k tokens, or, where none do, the least waste. A
// window's layers may so become several groups, each as large as the one of full attention. block_size grows
// by a whole factor where a block of one attention layer would hold less than one layer's state. Requires: at
// least one layer, bytes > 0.
KvGrouping group_layers(std::span<const KvLayerNeed> layers, int32_t block_size);

// What the pages of these groups hold of one sequence of num_tokens tokens between two steps, and what its
// layers need.
uint64_t grouped_bytes(std::span<const KvGroupSpec> groups, int64_t num_tokens);
uint64_t needed_bytes(std::span<const KvLayerNeed> layers, int64_t num_tokens);

// How many tokens before a position must be computed again to bring back all that the windows of these groups
// show of it, where the other groups have kept theirs: each window's layer looks window - 1 positions further
// back than the one behind it. 0: no window, or groups that a replay cannot bring back.
int64_t replay_tokens(std::span<const KvGroupSpec> groups);

// Fills LayerConfig.kv_group. The groups depend on the shapes of the layers alone, not on the cache's dtype.
void assign_kv_groups(ModelConfig* config);

// Makes full attention of windows that hide nothing in sequences of up to max_model_len tokens: their layers
// share its groups.
void drop_idle_windows(ModelConfig* config, int64_t max_model_len);

// The groups that LayerConfig.kv_group says. layer_bytes: of one block of each layer.
std::vector<KvGroupSpec> kv_groups(const ModelConfig& config, int32_t block_size,
                                   std::span<const uint64_t> layer_bytes);

}  // namespace pagoda
