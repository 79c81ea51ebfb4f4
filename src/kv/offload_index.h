// Which content is offloaded, and where: in which slot of the memory, and whether on disk. Decides what is
// moved (OffloadMove) and learns what has ended; the bytes are the runner's. Memory and disk evict in LRU
// order each. With a disk, content that comes to memory is spilled to disk at once, so that its slot can be
// taken at any time without loss. Private to the kv room.
#pragma once
#include <cstdint>
#include <list>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "contract/kv_offload.h"

namespace pagoda {

class OffloadIndex {
 public:
  // In the order of how soon it can be in the cache. kComing: being fetched to memory.
  enum class Where : uint8_t { kNowhere, kDisk, kComing, kMemory };

  // Requires: num_slots, num_groups > 0. num_disk_slots 0: no disk.
  OffloadIndex(int32_t num_slots, int64_t num_disk_slots, std::size_t num_groups);

  Where where(const BlockKey& key, int32_t group) const;
  // The block holds this content and is about to hold another. False: there is no copy and no slot for
  // one.
  bool store(BlockId block, const BlockKey& key, int32_t group);
  // Most recently used from now on. Requires: it is somewhere.
  void touch(const BlockKey& key, int32_t group) { refile(find(key, group)); }
  // Its slot keeps the content until the moves are taken. Requires: it is in memory.
  void hold(const BlockKey& key, int32_t group);
  // Into a block of the cache. True: it had to come from disk for that. Requires: as hold(), which it does as
  // well.
  bool load(const BlockKey& key, int32_t group, BlockId block);
  // From disk to memory. False: no slot. Requires: it is on disk.
  bool fetch(const BlockKey& key, int32_t group);
  // Can no longer be found.
  void erase(const BlockKey& key, int32_t group);
  void clear();
  // A file of an earlier process, in LRU order; of no group of ours: left alone. More than fit evict the
  // first ones.
  void adopt(const OffloadFile& file);

  // A spill or a fetch has ended.
  void end(const OffloadMoveEnd& end);
  // Appended to `moves`, in order.
  void take_moves(std::vector<OffloadMove>* moves);
  int32_t num_under_way() const { return num_under_way_; }  // spills and fetches

  // Fetches are numbered from 1.
  uint64_t last_fetch() const { return last_fetch_; }
  // Some fetch up to this number has not ended.
  bool is_fetching(uint64_t number) const { return !fetching_.empty() && *fetching_.begin() <= number; }
  int32_t num_fetching() const { return static_cast<int32_t>(fetching_.size()); }
  int32_t num_slots() const { return static_cast<int32_t>(entry_of_slot_.size()); }
  // Counts, but for bytes, tokens and times.
  OffloadStats stats() const;
  uint64_t num_moves(OffloadMoveKind kind, int32_t group) const;
  int32_t num_used_slots(int32_t group) const { return used_slots_[index(group)]; }
  int64_t num_used_disk_slots(int32_t group) const { return used_disk_[index(group)]; }
  // Aborts where the accounting disagrees. O(entries); tests only.
  void check() const;

 private:
  enum class Move : uint8_t { kNone, kSpill, kFetch };
  struct Id {
    BlockKey key;
    int32_t group;
    bool operator==(const Id&) const = default;
  };
  struct IdHash {
    std::size_t operator()(const Id& id) const {
      return id.key.word() + 0x9e3779b97f4a7c15 * static_cast<uint64_t>(id.group);
    }
  };
  struct Entry;
  using Entries = std::list<Entry>;
  using Lru = std::list<Entry*>;
  struct Entry {
    Id id;
    Entries::iterator self{};
    int32_t slot = -1;
    Move move = Move::kNone;  // under way; keeps the slot
    bool on_disk = false;     // complete, or being written
    bool held = false;        // until the moves are taken
    bool erased = false;      // cannot be found; waits for its move, or for those that are not taken
    bool in_memory_lru = false, in_disk_lru = false;
    Lru::iterator memory_lru{}, disk_lru{};
    bool fetched = false;  // to memory, and not loaded since
    uint64_t fetch_number = 0;
  };
  static std::size_t index(int32_t value) { return static_cast<std::size_t>(value); }
  bool is_group(int32_t group) const { return group >= 0 && index(group) < used_slots_.size(); }
  Entry* find(const BlockKey& key, int32_t group) const;
  Entry* add(const BlockKey& key, int32_t group);
  int32_t take_slot();
  void give_slot(Entry* entry, int32_t slot);
  void free_slot(Entry* entry);
  void leave_disk(Entry* entry);
  void spill(Entry* entry);
  // Files the entry by its state: at the most recently used end of the LRU lists that it belongs to, or
  // removed.
  void refile(Entry* entry);
  void unlist(Entry* entry);
  void cancel_pending();
  void push(OffloadMoveKind kind, const Entry& entry, BlockId block);

  const int64_t num_disk_slots_;
  Entries entries_;
  std::unordered_map<Id, Entry*, IdHash> by_id_;
  Lru memory_lru_, disk_lru_;  // what may be evicted: least recently used first
  std::vector<Entry*> entry_of_slot_;
  std::vector<int32_t> free_slots_;
  std::vector<Entry*> held_;
  std::vector<OffloadMove> moves_;
  std::set<uint64_t> fetching_;
  uint64_t last_fetch_ = 0;
  int32_t num_under_way_ = 0;
  int64_t num_used_disk_ = 0;
  // By group.
  std::vector<int32_t> used_slots_;
  std::vector<int64_t> used_disk_;
  std::vector<uint64_t> num_moves_[5];
  uint64_t num_stores_skipped_ = 0, num_failed_spills_ = 0, num_failed_fetches_ = 0;
};

}  // namespace pagoda
