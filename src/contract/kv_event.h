#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "contract/block_key.h"
#include "contract/types.h"

namespace pagoda {

// What has become findable in the prefix cache, or is no longer: for routers that send a request to where its
// prefix lies.
struct KvEvent {
  enum class Kind : uint8_t { kStored, kRemoved, kCleared };
  Kind kind = Kind::kStored;
  std::vector<BlockKey> keys;      // kStored: neighbours, in order
  std::optional<BlockKey> parent;  // kStored: of keys[0]; none at the start of a sequence
  std::vector<TokenId> tokens;     // kStored: of all keys
  int32_t block_size = 0;
  uint32_t lora_id = 0;
  // Content beside tokens that lies in keys[block]: its hash, and where it begins, in tokens from the block's
  // first; below 0: in an earlier block.
  struct Extra {
    int32_t block, offset;
    std::array<uint8_t, 32> hash;
    bool operator==(const Extra&) const = default;
  };
  std::vector<Extra> extra_keys;  // kStored: in order
};

// Takes the cache's events from the engine, a batch a step.
class KvEventSink {
 public:
  virtual ~KvEventSink() = default;
  // Never blocks. Requires: not empty; one thread.
  virtual void publish(std::vector<KvEvent>&& events) = 0;
};

}  // namespace pagoda
