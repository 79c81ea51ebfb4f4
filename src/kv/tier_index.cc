#include "kv/tier_index.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace pagoda {

TierIndex::TierIndex(int32_t num_slots, int64_t num_disk_slots)
    : num_disk_slots_(num_disk_slots),
      entry_of_slot_(index(num_slots)),
      used_slots_(kMaxGroups),
      used_disk_(kMaxGroups) {
  PAGODA_CHECK(num_slots > 0 && num_disk_slots >= 0, "a tier has slots");
  for (int32_t slot = num_slots; slot-- > 0;) free_slots_.push_back(slot);
  for (auto& counts : num_moves_) counts.resize(kMaxGroups);
}

TierIndex::Entry* TierIndex::find(const BlockKey& key, int32_t group) const {
  auto it = by_id_.find({key, group});
  return it == by_id_.end() ? nullptr : it->second;
}

TierIndex::Where TierIndex::where(const BlockKey& key, int32_t group) const {
  const Entry* entry = find(key, group);
  if (entry == nullptr) return Where::kNowhere;
  if (entry->move == Move::kFetch) return Where::kComing;
  return entry->slot >= 0 ? Where::kMemory : Where::kDisk;
}

TierIndex::Entry* TierIndex::add(const BlockKey& key, int32_t group) {
  PAGODA_CHECK(group >= 0 && group < kMaxGroups, "few groups");
  Entry& entry = entries_.emplace_back();
  entry.id = {key, group};
  entry.self = std::prev(entries_.end());
  by_id_[entry.id] = &entry;
  return &entry;
}

void TierIndex::push(TierMoveKind kind, const Entry& entry, BlockId block) {
  moves_.push_back({.kind = kind,
                    .group = entry.id.group,
                    .block = block,
                    .slot = kind == TierMoveKind::kDrop ? -1 : entry.slot,
                    .key = entry.id.key});
  ++num_moves_[static_cast<int>(kind)][index(entry.id.group)];
}

// A free one, or that of the entry which may go. -1: none.
int32_t TierIndex::take_slot() {
  if (free_slots_.empty() && !memory_lru_.empty()) {
    Entry* victim = memory_lru_.front();
    unlist(victim);
    free_slot(victim);
    settle(victim);
  }
  if (free_slots_.empty()) return -1;
  const int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void TierIndex::give_slot(Entry* entry, int32_t slot) {
  entry->slot = slot;
  entry_of_slot_[index(slot)] = entry;
  ++used_slots_[index(entry->id.group)];
}

void TierIndex::free_slot(Entry* entry) {
  entry->fetched = false;
  entry_of_slot_[index(entry->slot)] = nullptr;
  free_slots_.push_back(entry->slot);
  entry->slot = -1;
  --used_slots_[index(entry->id.group)];
}

void TierIndex::leave_disk(Entry* entry) {
  entry->on_disk = false;
  --num_used_disk_;
  --used_disk_[index(entry->id.group)];
}

void TierIndex::unlist(Entry* entry) {
  if (entry->in_memory_lru) memory_lru_.erase(entry->memory_lru);
  if (entry->in_disk_lru) disk_lru_.erase(entry->disk_lru);
  entry->in_memory_lru = entry->in_disk_lru = false;
}

void TierIndex::settle(Entry* entry) {
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

bool TierIndex::store(BlockId block, const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  if (entry != nullptr) settle(entry);  // wanted again
  if (entry != nullptr && entry->slot >= 0) return true;
  const int32_t slot = take_slot();
  if (slot < 0) {
    ++num_stores_skipped_;
    return entry != nullptr;
  }
  const bool is_new = entry == nullptr;
  if (is_new) entry = add(key, group);
  give_slot(entry, slot);
  push(TierMoveKind::kStore, *entry, block);
  if (is_new && num_disk_slots_ > 0) spill(entry);
  settle(entry);
  return true;
}

// Room for its file is made first. Not, if all others are being written or read.
void TierIndex::spill(Entry* entry) {
  if (num_used_disk_ >= num_disk_slots_) {
    if (disk_lru_.empty()) return;
    Entry* victim = disk_lru_.front();
    push(TierMoveKind::kDrop, *victim, kNullBlock);
    disk_lru_.pop_front();
    victim->in_disk_lru = false;
    leave_disk(victim);
    if (victim->slot < 0) settle(victim);  // else it keeps its place in memory
  }
  entry->on_disk = true;
  ++num_used_disk_;
  ++used_disk_[index(entry->id.group)];
  entry->move = Move::kSpill;
  ++num_under_way_;
  push(TierMoveKind::kSpill, *entry, kNullBlock);
}

void TierIndex::hold(const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  PAGODA_CHECK(entry != nullptr && entry->slot >= 0 && entry->move != Move::kFetch, "not in memory");
  if (entry->held) return;
  entry->held = true;
  held_.push_back(entry);
  settle(entry);
}

bool TierIndex::load(const BlockKey& key, int32_t group, BlockId block) {
  hold(key, group);
  Entry* entry = find(key, group);
  push(TierMoveKind::kLoad, *entry, block);
  return std::exchange(entry->fetched, false);
}

bool TierIndex::fetch(const BlockKey& key, int32_t group) {
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
  push(TierMoveKind::kFetch, *entry, kNullBlock);
  settle(entry);
  return true;
}

void TierIndex::erase(const BlockKey& key, int32_t group) {
  Entry* entry = find(key, group);
  if (entry == nullptr) return;
  if (entry->on_disk) push(TierMoveKind::kDrop, *entry, kNullBlock);  // behind the spill under way
  by_id_.erase(entry->id);
  entry->erased = true;
  settle(entry);
}

// Spills and fetches that nobody has begun are called off: there may be nothing left to be written.
void TierIndex::call_off() {
  auto is_called_off = [this](const TierMove& move) {
    if (move.kind == TierMoveKind::kStore || move.kind == TierMoveKind::kLoad) return false;
    if (move.kind == TierMoveKind::kDrop) return true;  // everything is dropped
    Entry* entry = entry_of_slot_[index(move.slot)];
    if (entry->move == Move::kFetch) fetching_.erase(entry->fetch_number);
    entry->move = Move::kNone;
    --num_under_way_;
    return true;
  };
  std::erase_if(moves_, is_called_off);
}

void TierIndex::clear() {
  call_off();
  by_id_.clear();
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry* entry = &*it++;  // settle() may remove it
    entry->erased = true;
    settle(entry);
  }
  if (num_disk_slots_ > 0)
    moves_.push_back({.kind = TierMoveKind::kDrop, .group = -1, .block = kNullBlock, .slot = -1, .key = {}});
}

void TierIndex::adopt(const TierFile& file) {
  if (num_disk_slots_ == 0 || file.group < 0 || file.group >= kMaxGroups) return;
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
  settle(entry);
}

void TierIndex::done(const TierMoveDone& done) {
  PAGODA_CHECK(done.slot >= 0 && done.slot < num_slots(), "a slot of the tier");
  Entry* entry = entry_of_slot_[index(done.slot)];
  const Move move = done.kind == TierMoveKind::kSpill ? Move::kSpill : Move::kFetch;
  PAGODA_CHECK(entry != nullptr && entry->move == move && entry->id == (Id{done.key, done.group}),
               "a move has ended that was not under way");
  entry->move = Move::kNone;
  --num_under_way_;
  if (move == Move::kFetch) fetching_.erase(entry->fetch_number);
  if (!done.ok) {
    ++(move == Move::kSpill ? num_failed_spills_ : num_failed_fetches_);
    leave_disk(entry);
    if (move == Move::kFetch) free_slot(entry);
  }
  settle(entry);
}

void TierIndex::take_moves(std::vector<TierMove>* moves) {
  moves->insert(moves->end(), moves_.begin(), moves_.end());
  moves_.clear();
  for (Entry* entry : held_) {
    entry->held = false;
    settle(entry);
  }
  held_.clear();
}

uint64_t TierIndex::num_moves(TierMoveKind kind, int32_t group) const {
  return num_moves_[static_cast<int>(kind)][index(group)];
}

TierStats TierIndex::stats() const {
  TierStats stats;
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

void TierIndex::check() const {
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
