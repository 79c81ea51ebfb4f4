#pragma once
#include <cstdint>

#include "contract/block_key.h"
#include "contract/types.h"

namespace pagoda {

// A full block between the cache and where its content is offloaded when it is evicted. Slots of the offload
// memory are numbered by `slot`; on disk a block lies under its key. Within a step all kStore
// (block -> slot) come first, then the copies of forks, then all kLoad (slot -> block), then the forward
// pass. kSpill (slot -> disk) and kFetch (disk -> slot) are begun by the step, behind its kStore, and end
// whenever they do (OffloadMoveEnd), as kDrop (forget the key's file; group -1: all files) does; the slot is
// left alone until then. Spills and drops happen in their order.
enum class OffloadMoveKind : uint8_t { kStore, kLoad, kSpill, kFetch, kDrop };
struct OffloadMove {
  OffloadMoveKind kind;
  int32_t group;
  BlockId block;  // kStore, kLoad
  int32_t slot;   // all but kDrop
  BlockKey key;
};

// A kSpill or kFetch has ended. Not ok: nothing usable is there (a damaged or missing file, a full disk).
struct OffloadMoveEnd {
  OffloadMoveKind kind;
  int32_t group;
  int32_t slot;
  BlockKey key;
  bool ok;
};

// A block's file that an earlier process has left on the offload disk.
struct OffloadFile {
  BlockKey key;
  int32_t group;
};

// Offloading so far. Blocks and bytes are those of moves that were begun.
struct OffloadStats {
  int32_t num_slots = 0, num_used_slots = 0;            // memory
  int64_t num_disk_slots = 0, num_used_disk_slots = 0;  // disk
  int32_t num_under_way = 0;                            // spills and fetches that have not ended
  uint64_t used_bytes = 0, used_disk_bytes = 0;
  uint64_t num_stores = 0, store_bytes = 0;  // cache -> memory
  uint64_t num_loads = 0, load_bytes = 0;    // memory -> cache
  uint64_t num_spills = 0, spill_bytes = 0;  // memory -> disk
  uint64_t num_fetches = 0, fetch_bytes = 0;
  uint64_t num_stores_skipped = 0;  // no slot was to be had
  uint64_t num_failed_spills = 0, num_failed_fetches = 0;
  uint64_t queried_tokens = 0, hit_tokens = 0;  // looked for behind what the cache held; loaded
  uint64_t disk_hit_tokens = 0;                 // of these: they had to come from disk
  double store_s = 0, load_s = 0;
};

}  // namespace pagoda
