// Names of full blocks: a hash chain over a sequence's tokens, so that equal names mean equal K and V. It
// starts at a root that clients do not know (or, with a seed, at one that several processes share) and takes
// in whatever else K and V depend on: adapter and tenant's salt in the first block, extra keys (images) in
// the blocks that they lie in. docs/guide/kv-events.md has the format, kBlockKeyVersion its version.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "contract/block_key.h"
#include "contract/engine_config.h"
#include "contract/types.h"

namespace pagoda {

// Which sequences may share blocks: those with the same adapter, salt and extra keys.
struct CacheScope {
  uint32_t lora_id = 0;  // the same number for the same adapter wherever names are shared (seed, folder)
  std::array<uint8_t, 16> salt{};          // zeros: none
  std::span<const ExtraKey> extra_keys{};  // in order; they do not overlap
};

// Those that lie in positions begin .. begin + num_tokens - 1, whole or in part.
std::span<const ExtraKey> extra_keys_in(const CacheScope& scope, int32_t begin, std::size_t num_tokens);

class BlockHasher {
 public:
  BlockHasher(BlockHashAlgo algo, const std::string& seed);
  // The parent of every sequence's first block.
  BlockKey root() const { return root_; }
  // Of the block whose first token is at position `begin`; 0: its parent is the root.
  BlockKey next(const BlockKey& parent, std::span<const TokenId> tokens, int32_t begin,
                const CacheScope& scope);

 private:
  void write_plain(const BlockKey& parent, std::span<const TokenId> tokens, int32_t begin,
                   const CacheScope& scope);
  void write_cbor(const BlockKey& parent, std::span<const TokenId> tokens, int32_t begin,
                  const CacheScope& scope);

  const BlockHashAlgo algo_;
  BlockKey root_;
  std::vector<uint8_t> bytes_;  // of the block being hashed; keeps its memory
};

}  // namespace pagoda
