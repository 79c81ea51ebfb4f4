#include "kv/offload_index.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace pagoda {

OffloadIndex::OffloadIndex(int32_t num_slots, int64_t num_disk_slots, std::size_t num_groups)
    : num_disk_slots_(num_disk_slots),
      entry_of_slot_(index(num_slots)),
      used_slots_(num_groups),
      used_disk_(num_groups) {
  PAGODA_CHECK(num_slots > 0 && num_disk_slots >= 0 && num_groups > 0, "offloading has slots");
  for (int32_t slot = num_slots; slot-- > 0;) free_slots_.push_back(slot);
  for (auto& counts : num_moves_) counts.resize(num_groups);
}

OffloadIndex::Entry* OffloadIndex::find(const BlockKey& key, int32_t group) const {
  auto it = by_id_.find({key, group});
  return it == by_id_.end() ? nullptr : it->second;
}

OffloadIndex::Where OffloadIndex::where(const BlockKey& key, int32_t group) const {
  const Entry* entry = find(key, group);
  if (entry == nullptr) return Where::kNowhere;
  if (entry->move == Move::kFetch) return Where::kComing;
  return entry->slot >= 0 ? Where::kMemory : Where::kDisk;
}

OffloadIndex::Entry* OffloadIndex::add(const BlockKey& key, int32_t group) {
  PAGODA_CHECK(is_group(group), "group of the model");
  Entry& entry = entries_.emplace_back();
  entry.id = {key, group};
  entry.self = std::prev(entries_.end());
  by_id_[entry.id] = &entry;
  return &entry;
}

void OffloadIndex::push(OffloadMoveKind kind, const Entry& entry, BlockId block) {
  moves_.push_back({.kind = kind,
                    .group = entry.id.group,
                    .block = block,
                    .slot = kind == OffloadMoveKind::kDrop ? -1 : entry.slot,
                    .key = entry.id.key});
  ++num_moves_[static_cast<int>(kind)][index(entry.id.group)];
}

// A free one, or that of the entry which may go. -1: none.
int32_t OffloadIndex::take_slot() {
  if (free_slots_.empty() && !memory_lru_.empty()) {
    Entry* victim = memory_lru_.front();
    unlist(victim);
    free_slot(victim);
    refile(victim);
  }
  if (free_slots_.empty()) return -1;
  const int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void OffloadIndex::give_slot(Entry* entry, int32_t slot) {
  entry->slot = slot;
  entry_of_slot_[index(slot)] = entry;
  ++used_slots_[index(entry->id.group)];
}

void OffloadIndex::free_slot(Entry* entry) {
  entry->fetched = false;
  entry_of_slot_[index(entry->slot)] = nullptr;
  free_slots_.push_back(entry->slot);
  entry->slot = -1;
  --used_slots_[index(entry->id.group)];
}

void OffloadIndex::leave_disk(Entry* entry) {
  entry->on_disk = false;
  --num_used_disk_;
  --used_disk_[index(entry->id.group)];
}

void OffloadIndex::unlist(Entry* entry) {
  if (entry->in_memory_lru) memory_lru_.erase(entry->memory_lru);
  if (entry->in_disk_lru) disk_lru_.erase(entry->disk_lru);
  entry->in_memory_lru = entry->in_disk_lru = false;
}

void OffloadIndex::refile(Entry* entry) {
  unlist(entry);
  if (entry->move != Move::kNone) return;
  if (entry->erased && !entry->held) {
    if (entry->on_disk) leave_disk(entry);
    if (entry->slot >= 0) free_slot(entry);
  }
  if (entry->slot < 0 && !entry->on_disk) {
    if (!entry->erased) by_id_.erase(entry->id);
    entries_.erase(entry->self);
    return;
  }
  if (entry->erased) return;
  if (entry->slot >= 0 && !entry->held) {
    entry->memory_lru = memory_lru_.insert(memory_lru_.end(), entry);
    entry->in_memory_lru = true;
  }
  if (entry->on_disk) {
    entry->disk_lru = disk_lru_.insert(disk_lru_.end(), entry);
    entry->in_disk_lru = true;
  }
}

bool OffloadIndex::store(BlockId block, const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  if (entry != nullptr) refile(entry);  // most recently used
  if (entry != nullptr && entry->slot >= 0) return true;
  const int32_t slot = take_slot();
  if (slot < 0) {
    ++num_stores_skipped_;
    return entry != nullptr;
  }
  const bool is_new = entry == nullptr;
  if (is_new) entry = add(key, group);
  give_slot(entry, slot);
  push(OffloadMoveKind::kStore, *entry, block);
  if (is_new && num_disk_slots_ > 0) spill(entry);
  refile(entry);
  return true;
}

// Room for its file is made first. Not, if all others are being written or read.
void OffloadIndex::spill(Entry* entry) {
  if (num_used_disk_ >= num_disk_slots_) {
    if (disk_lru_.empty()) return;
    Entry* victim = disk_lru_.front();
    push(OffloadMoveKind::kDrop, *victim, kNullBlock);
    disk_lru_.pop_front();
    victim->in_disk_lru = false;
    leave_disk(victim);
    if (victim->slot < 0) refile(victim);  // else it keeps its place in memory
  }
  entry->on_disk = true;
  ++num_used_disk_;
  ++used_disk_[index(entry->id.group)];
  entry->move = Move::kSpill;
  ++num_under_way_;
  push(OffloadMoveKind::kSpill, *entry, kNullBlock);
}

void OffloadIndex::hold(const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  PAGODA_CHECK(entry != nullptr && entry->slot >= 0 && entry->move != Move::kFetch, "not in memory");
  if (entry->held) return;
  entry->held = true;
  held_.push_back(entry);
  refile(entry);
}

bool OffloadIndex::load(const BlockKey& key, int32_t group, BlockId block) {
  hold(key, group);
  Entry* entry = find(key, group);
  push(OffloadMoveKind::kLoad, *entry, block);
  return std::exchange(entry->fetched, false);
}

bool OffloadIndex::fetch(const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  PAGODA_CHECK(entry != nullptr && entry->slot < 0 && entry->on_disk, "not on disk alone");
  const int32_t slot = take_slot();
  if (slot < 0) return false;
  give_slot(entry, slot);
  entry->move = Move::kFetch;
  entry->fetched = true;
  entry->fetch_number = ++last_fetch_;
  fetching_.insert(last_fetch_);
  ++num_under_way_;
  push(OffloadMoveKind::kFetch, *entry, kNullBlock);
  refile(entry);
  return true;
}

void OffloadIndex::erase(const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  if (entry == nullptr) return;
  if (entry->on_disk) push(OffloadMoveKind::kDrop, *entry, kNullBlock);  // behind the spill under way
  by_id_.erase(entry->id);
  entry->erased = true;
  refile(entry);
}

// Spills and fetches that have not been taken are cancelled: there may be nothing left to be written.
void OffloadIndex::cancel_pending() {
  auto is_cancelled = [this](const OffloadMove& move) {
    if (move.kind == OffloadMoveKind::kStore || move.kind == OffloadMoveKind::kLoad) return false;
    if (move.kind == OffloadMoveKind::kDrop) return true;  // everything is dropped
    Entry* entry = entry_of_slot_[index(move.slot)];
    if (entry->move == Move::kFetch) fetching_.erase(entry->fetch_number);
    entry->move = Move::kNone;
    --num_under_way_;
    return true;
  };
  std::erase_if(moves_, is_cancelled);
}

void OffloadIndex::clear() {
  cancel_pending();
  by_id_.clear();
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry* entry = &*it++;  // refile() may remove it
    entry->erased = true;
    refile(entry);
  }
  if (num_disk_slots_ > 0)
    moves_.push_back(
        {.kind = OffloadMoveKind::kDrop, .group = -1, .block = kNullBlock, .slot = -1, .key = {}});
}

void OffloadIndex::adopt(const OffloadFile& file) {
  if (num_disk_slots_ == 0 || !is_group(file.group)) return;
  if (find(file.key, file.group) != nullptr) return;
  if (num_used_disk_ >= num_disk_slots_) {
    if (disk_lru_.empty()) return;
    const Entry* oldest = disk_lru_.front();
    erase(oldest->id.key, oldest->id.group);
  }
  Entry* entry = add(file.key, file.group);
  entry->on_disk = true;
  ++num_used_disk_;
  ++used_disk_[index(file.group)];
  refile(entry);
}

void OffloadIndex::end(const OffloadMoveEnd& end) {
  PAGODA_CHECK(end.slot >= 0 && end.slot < num_slots(), "a slot of the offload memory");
  Entry* entry = entry_of_slot_[index(end.slot)];
  const Move move = end.kind == OffloadMoveKind::kSpill ? Move::kSpill : Move::kFetch;
  PAGODA_CHECK(entry != nullptr && entry->move == move && entry->id == (Id{end.key, end.group}),
               "a move has ended that was not under way");
  entry->move = Move::kNone;
  --num_under_way_;
  if (move == Move::kFetch) fetching_.erase(entry->fetch_number);
  if (!end.ok) {
    ++(move == Move::kSpill ? num_failed_spills_ : num_failed_fetches_);
    leave_disk(entry);
    if (move == Move::kFetch) free_slot(entry);
  }
  refile(entry);
}

void OffloadIndex::take_moves(std::vector<OffloadMove>* moves) {
  moves->insert(moves->end(), moves_.begin(), moves_.end());
  moves_.clear();
  for (Entry* entry : held_) {
    entry->held = false;
    refile(entry);
  }
  held_.clear();
}

uint64_t OffloadIndex::num_moves(OffloadMoveKind kind, int32_t group) const {
  return num_moves_[static_cast<int>(kind)][index(group)];
}

OffloadStats OffloadIndex::stats() const {
  OffloadStats stats;
  stats.num_slots = num_slots();
  stats.num_used_slots = num_slots() - static_cast<int32_t>(free_slots_.size());
  stats.num_disk_slots = num_disk_slots_;
  stats.num_used_disk_slots = num_used_disk_;
  stats.num_under_way = num_under_way_;
  stats.num_stores_skipped = num_stores_skipped_;
  stats.num_failed_spills = num_failed_spills_;
  stats.num_failed_fetches = num_failed_fetches_;
  return stats;
}

void OffloadIndex::check() const {
  int64_t num_on_disk = 0, num_findable = 0;
  int32_t num_with_slot = 0, num_moving = 0, num_fetches = 0;
  for (const Entry& entry : entries_) {
    num_on_disk += entry.on_disk;
    num_moving += entry.move != Move::kNone;
    num_fetches += entry.move == Move::kFetch;
    num_findable += !entry.erased;
    num_with_slot += entry.slot >= 0;
    PAGODA_CHECK(entry.slot >= 0 || entry.on_disk, "an entry is nowhere");
    PAGODA_CHECK(entry.slot < 0 || entry_of_slot_[index(entry.slot)] == &entry, "a slot has another entry");
    PAGODA_CHECK(entry.erased || find(entry.id.key, entry.id.group) == &entry, "an entry cannot be found");
    const bool idle = entry.move == Move::kNone && !entry.erased;
    PAGODA_CHECK(entry.in_memory_lru == (idle && !entry.held && entry.slot >= 0), "what may leave memory");
    PAGODA_CHECK(entry.in_disk_lru == (idle && entry.on_disk), "what may leave the disk");
  }
  PAGODA_CHECK(num_on_disk == num_used_disk_ && num_used_disk_ <= num_disk_slots_, "files are miscounted");
  PAGODA_CHECK(num_with_slot + static_cast<int32_t>(free_slots_.size()) == num_slots(), "slots are lost");
  PAGODA_CHECK(num_moving == num_under_way_ && num_fetches == num_fetching(), "moves are miscounted");
  PAGODA_CHECK(static_cast<std::size_t>(num_findable) == by_id_.size(), "entries are lost");
}

}  // namespace pagoda
