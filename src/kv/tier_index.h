// Which content the second tier has, and where: in which of its memory slots, and whether on disk. Says what
// is to be moved (TierMove) and hears what has ended; the bytes are the runner's. What has not been wanted
// for the longest time goes first, from memory and from disk. With a disk, what comes to memory goes to disk
// at once, so that its slot can be taken at any time without loss. Private to the kv room.
#pragma once
#include <cstdint>
#include <list>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "contract/step_result.h"
#include "contract/tier.h"

namespace pagoda {

class TierIndex {
 public:
  // In the order of how soon it can be in the cache. kComing: being fetched to memory.
  enum class Where : uint8_t { kNowhere, kDisk, kComing, kMemory };

  // Requires: num_slots > 0. num_disk_slots 0: no disk.
  TierIndex(int32_t num_slots, int64_t num_disk_slots);

  Where where(const BlockKey& key, int32_t group) const;
  // The block holds this content and is about to hold another. False: the tier has no copy and no slot for
  // one.
  bool store(BlockId block, const BlockKey& key, int32_t group);
  // It has been wanted: others go before it. Requires: it is somewhere.
  void touch(const BlockKey& key, int32_t group) { settle(find(key, group)); }
  // Its slot keeps it until the moves are taken. Requires: it is in memory.
  void hold(const BlockKey& key, int32_t group);
  // Into a block of the cache. True: it had to come from disk for that. Requires: as hold(), which it does as
  // well.
  bool load(const BlockKey& key, int32_t group, BlockId block);
  // From disk to memory. False: no slot. Requires: it is on disk.
  bool fetch(const BlockKey& key, int32_t group);
  // Nothing of it is to be found any more.
  void erase(const BlockKey& key, int32_t group);
  void clear();
  // A file of an earlier process; later ones have been wanted more recently. More than fit push the first
  // ones out.
  void adopt(const TierFile& file);

  // A spill or a fetch has ended.
  void done(const TierMoveDone& done);
  // Appended to `moves`, in order.
  void take_moves(std::vector<TierMove>* moves);
  bool has_moves() const { return !moves_.empty(); }
  int32_t num_under_way() const { return num_under_way_; }  // spills and fetches

  // Fetches are numbered from 1.
  uint64_t last_fetch() const { return last_fetch_; }
  // Some fetch up to this number has not ended.
  bool is_fetching(uint64_t number) const { return !fetching_.empty() && *fetching_.begin() <= number; }
  int32_t num_fetching() const { return static_cast<int32_t>(fetching_.size()); }
  int32_t num_slots() const { return static_cast<int32_t>(entry_of_slot_.size()); }
  // Counts, but for bytes, tokens and times.
  TierStats stats() const;
  uint64_t num_moves(TierMoveKind kind, int32_t group) const;
  int32_t num_used_slots(int32_t group) const { return used_slots_[index(group)]; }
  int64_t num_used_disk_slots(int32_t group) const { return used_disk_[index(group)]; }
  // Aborts where the books disagree. O(entries); tests only.
  void check() const;

  static constexpr int32_t kMaxGroups = 16;

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
  Entry* find(const BlockKey& key, int32_t group) const;
  Entry* add(const BlockKey& key, int32_t group);
  int32_t take_slot();
  void give_slot(Entry* entry, int32_t slot);
  void free_slot(Entry* entry);
  void leave_disk(Entry* entry);
  void spill(Entry* entry);
  // Puts the entry where it belongs now: at the young end of the lists of what may be taken, or out of the
  // books.
  void settle(Entry* entry);
  void unlist(Entry* entry);
  void call_off();
  void push(TierMoveKind kind, const Entry& entry, BlockId block);

  const int64_t num_disk_slots_;
  Entries entries_;
  std::unordered_map<Id, Entry*, IdHash> by_id_;
  Lru memory_lru_, disk_lru_;  // what may be taken away: oldest first
  std::vector<Entry*> entry_of_slot_;
  std::vector<int32_t> free_slots_;
  std::vector<Entry*> held_;
  std::vector<TierMove> moves_;
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
