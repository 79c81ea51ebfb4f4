// Names of full blocks: a hash chain over a sequence's tokens, so that equal names mean equal K and V. It
// starts at a root that clients do not know (or, with a seed, at one that several processes share) and takes
// in whatever else K and V depend on: the adapter and the tenant's salt.
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

// Who may share blocks: requests with the same adapter and the same salt.
struct CacheScope {
  uint32_t lora_id = 0;  // the same number for the same adapter wherever names are shared (seed, folder)
  std::array<uint8_t, 16> salt{};  // zeros: none
  bool is_plain() const { return lora_id == 0 && salt == std::array<uint8_t, 16>{}; }
};

class BlockHasher {
 public:
  BlockHasher(BlockHashAlgo algo, const std::string& seed);
  // The parent of every sequence's first block.
  BlockKey root() const { return root_; }
  // `is_first`: the parent is the root.
  BlockKey next(const BlockKey& parent, std::span<const TokenId> tokens, const CacheScope& scope,
                bool is_first);

 private:
  void write_plain(const BlockKey& parent, std::span<const TokenId> tokens, const CacheScope& scope,
                   bool is_first);
  void write_cbor(const BlockKey& parent, std::span<const TokenId> tokens, const CacheScope& scope,
                  bool is_first);

  const BlockHashAlgo algo_;
  BlockKey root_;
  std::vector<uint8_t> bytes_;  // of the block being hashed; keeps its memory
};

}  // namespace pagoda
