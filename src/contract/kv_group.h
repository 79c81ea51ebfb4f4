#pragma once
#include <cstdint>
#include <vector>

namespace pagoda {

// What a layer keeps of a sequence: K and V of all positions; of those that a window shows; one latent vector
// per position; or one state of fixed size that every position changes.
enum class KvKind : uint8_t { kFullAttention, kSlidingWindow, kMlaLatent, kRecurrentState };

// Layers of one kind, which share a block table. Groups are identified by their index. A block is a page of
// the one pool: all groups' blocks have equal bytes, and an id belongs to one group at a time.
struct KvGroupSpec {
  KvKind kind = KvKind::kFullAttention;
  int32_t window = 0;           // kSlidingWindow: a position sees itself and the window - 1 before it; else 0
  int32_t block_size = 0;       // tokens; the same in all groups of a model
  std::vector<int32_t> layers;  // of the model, ascending; empty where only ids matter
  uint64_t block_bytes = 0;     // of a page; 0 where only ids matter
};

}  // namespace pagoda
