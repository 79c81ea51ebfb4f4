#pragma once
#include <cstdint>

#include "contract/block_key.h"

namespace pagoda {

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
