#pragma once
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
};

// Takes the cache's events from the engine, a batch a step.
class KvEventSink {
 public:
  virtual ~KvEventSink() = default;
  // Never blocks. Requires: not empty; one thread.
  virtual void publish(std::vector<KvEvent>&& events) = 0;
};

}  // namespace pagoda
