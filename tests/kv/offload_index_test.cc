#include "kv/offload_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "base/rng.h"

namespace pagoda {
namespace {

using Where = OffloadIndex::Where;

constexpr std::size_t kNumGroups = 20;

BlockKey key_of(uint64_t number) {
  BlockKey key;
  std::memcpy(key.bytes.data(), &number, sizeof number);
  return key;
}
std::vector<OffloadMove> take(OffloadIndex* offload) {
  std::vector<OffloadMove> moves;
  offload->take_moves(&moves);
  offload->check();
  return moves;
}
void end(OffloadIndex* offload, const OffloadMove& move, bool ok = true) {
  offload->end({.kind = move.kind, .group = move.group, .slot = move.slot, .key = move.key, .ok = ok});
  offload->check();
}

TEST(OffloadIndex, TheLongestUnwantedGivesItsSlot) {
  OffloadIndex offload(2, 0, kNumGroups);
  EXPECT_TRUE(offload.store(7, key_of(1), 0));
  EXPECT_TRUE(offload.store(8, key_of(2), 0));
  EXPECT_TRUE(offload.store(9, key_of(1), 0));  // has it: most recently used
  EXPECT_TRUE(offload.store(9, key_of(3), 0));  // in the place of 2
  EXPECT_EQ(offload.where(key_of(1), 0), Where::kMemory);
  EXPECT_EQ(offload.where(key_of(2), 0), Where::kNowhere);
  EXPECT_EQ(offload.where(key_of(3), 0), Where::kMemory);
  EXPECT_EQ(offload.where(key_of(3), 1), Where::kNowhere) << "groups are apart";
  const std::vector<OffloadMove> moves = take(&offload);
  ASSERT_EQ(moves.size(), 3u);
  for (const OffloadMove& move : moves) EXPECT_EQ(move.kind, OffloadMoveKind::kStore);
  EXPECT_EQ(moves[2].slot, moves[1].slot);
  EXPECT_EQ(moves[2].block, 9);
}

TEST(OffloadIndex, ALoadedSlotIsLeftAloneUntilTheMovesAreTaken) {
  OffloadIndex offload(1, 0, kNumGroups);
  ASSERT_TRUE(offload.store(1, key_of(1), 0));
  offload.load(key_of(1), 0, 5);
  EXPECT_FALSE(offload.store(2, key_of(2), 0));
  EXPECT_EQ(offload.stats().num_stores_skipped, 1u);
  take(&offload);
  EXPECT_TRUE(offload.store(2, key_of(2), 0));
}

TEST(OffloadIndex, WritesThroughAndFetches) {
  OffloadIndex offload(1, 8, kNumGroups);
  ASSERT_TRUE(offload.store(1, key_of(1), 0));
  std::vector<OffloadMove> moves = take(&offload);
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_EQ(moves[1].kind, OffloadMoveKind::kSpill);
  EXPECT_FALSE(offload.store(2, key_of(2), 0)) << "the slot is being written to disk";
  end(&offload, moves[1]);
  ASSERT_TRUE(offload.store(2, key_of(2), 0));
  EXPECT_EQ(offload.where(key_of(1), 0), Where::kDisk);
  EXPECT_FALSE(offload.fetch(key_of(1), 0)) << "no slot";
  end(&offload, take(&offload)[1]);
  ASSERT_TRUE(offload.fetch(key_of(1), 0));
  EXPECT_EQ(offload.where(key_of(1), 0), Where::kComing);
  EXPECT_TRUE(offload.is_fetching(offload.last_fetch()));
  EXPECT_FALSE(offload.is_fetching(offload.last_fetch() - 1));
  moves = take(&offload);
  ASSERT_EQ(moves.size(), 1u);
  end(&offload, moves[0]);
  EXPECT_FALSE(offload.is_fetching(offload.last_fetch()));
  EXPECT_EQ(offload.where(key_of(1), 0), Where::kMemory);
}

TEST(OffloadIndex, WhatCannotBeReadIsForgotten) {
  OffloadIndex offload(2, 8, kNumGroups);
  offload.adopt({key_of(1), 0});
  ASSERT_EQ(offload.where(key_of(1), 0), Where::kDisk);
  ASSERT_TRUE(offload.fetch(key_of(1), 0));
  end(&offload, take(&offload)[0], false);
  EXPECT_EQ(offload.where(key_of(1), 0), Where::kNowhere);
  EXPECT_FALSE(offload.is_fetching(offload.last_fetch()));
  const OffloadStats stats = offload.stats();
  EXPECT_EQ(stats.num_failed_fetches, 1u);
  EXPECT_EQ(stats.num_used_slots, 0);
  EXPECT_EQ(stats.num_used_disk_slots, 0);
}

TEST(OffloadIndex, AFullDiskDropsItsOldest) {
  OffloadIndex offload(4, 2, kNumGroups);
  for (uint64_t key : {1, 2, 3}) offload.adopt({key_of(key), 0});
  std::vector<OffloadMove> moves = take(&offload);
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].kind, OffloadMoveKind::kDrop);
  EXPECT_EQ(moves[0].key, key_of(1));
  ASSERT_TRUE(offload.store(1, key_of(4), 0));
  moves = take(&offload);
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[1].kind, OffloadMoveKind::kDrop);
  EXPECT_EQ(moves[1].key, key_of(2));
  EXPECT_EQ(moves[2].kind, OffloadMoveKind::kSpill);
}

TEST(OffloadIndex, HasAsManyGroupsAsTheModel) {
  OffloadIndex offload(4, 8, kNumGroups);
  constexpr int32_t kLast = int32_t{kNumGroups} - 1;
  EXPECT_TRUE(offload.store(1, key_of(1), kLast));
  offload.adopt({key_of(2), kLast});
  for (int32_t group : {kLast + 1, -1, INT32_MAX, INT32_MIN}) offload.adopt({key_of(3), group});
  take(&offload);
  EXPECT_EQ(offload.where(key_of(1), kLast), Where::kMemory);
  EXPECT_EQ(offload.where(key_of(2), kLast), Where::kDisk);
  EXPECT_EQ(offload.num_used_slots(kLast), 1);
  EXPECT_EQ(offload.num_used_disk_slots(kLast), 2);
  EXPECT_EQ(offload.stats().num_used_disk_slots, 2) << "a file of no group is left alone";
}

TEST(OffloadIndex, ClearedWhileMovesAreUnderWay) {
  OffloadIndex offload(3, 8, kNumGroups);
  offload.adopt({key_of(1), 0});
  ASSERT_TRUE(offload.fetch(key_of(1), 0));
  ASSERT_TRUE(offload.store(1, key_of(2), 0));
  const std::vector<OffloadMove> moves = take(&offload);
  offload.clear();
  offload.check();
  EXPECT_EQ(offload.where(key_of(2), 0), Where::kNowhere);
  ASSERT_TRUE(offload.store(1, key_of(2), 0)) << "anew, in another slot";
  end(&offload, moves[0]);
  end(&offload, moves[2]);
  EXPECT_EQ(offload.where(key_of(1), 0), Where::kNowhere);
  const std::vector<OffloadMove> later = take(&offload);
  EXPECT_EQ(later[0].kind, OffloadMoveKind::kDrop);
  EXPECT_EQ(later[0].group, -1);
  end(&offload, later[2]);
  EXPECT_EQ(offload.stats().num_used_slots, 1);
  EXPECT_EQ(offload.stats().num_used_disk_slots, 1);
}

TEST(OffloadIndex, ClearedBeforeTheMovesAreTaken) {
  OffloadIndex offload(3, 8, kNumGroups);
  offload.adopt({key_of(1), 0});
  ASSERT_TRUE(offload.fetch(key_of(1), 0));
  ASSERT_TRUE(offload.store(1, key_of(2), 0));
  offload.load(key_of(2), 0, 4);  // a sequence counts on it
  offload.clear();
  offload.check();
  EXPECT_EQ(offload.num_under_way(), 0);
  EXPECT_FALSE(offload.is_fetching(offload.last_fetch()));
  const std::vector<OffloadMove> moves = take(&offload);
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[0].kind, OffloadMoveKind::kStore);
  EXPECT_EQ(moves[1].kind, OffloadMoveKind::kLoad);
  EXPECT_EQ(moves[2].kind, OffloadMoveKind::kDrop);
  EXPECT_EQ(offload.stats().num_used_slots, 0);
  EXPECT_EQ(offload.stats().num_used_disk_slots, 0);
}

// A runner that carries moves out late and with failures; the index is compared with its slots and
// files.
class Store {
 public:
  Store(int32_t num_slots, uint64_t seed) : slots_(static_cast<std::size_t>(num_slots)), random_(seed) {}

  void run(const std::vector<OffloadMove>& moves) {
    for (OffloadMoveKind kind : {OffloadMoveKind::kStore, OffloadMoveKind::kLoad})
      for (const OffloadMove& move : moves)
        if (move.kind == kind) {
          auto& slot = slots_[static_cast<std::size_t>(move.slot)];
          if (kind == OffloadMoveKind::kStore) slot = id(move);
          EXPECT_EQ(slot, id(move)) << "loaded from a slot with other content";
        }
    for (const OffloadMove& move : moves)
      if (move.kind != OffloadMoveKind::kStore && move.kind != OffloadMoveKind::kLoad)
        under_way_.push_back(move);
  }
  void end_one(OffloadIndex* offload) {
    if (under_way_.empty()) return;
    const OffloadMove move = under_way_.front();
    under_way_.pop_front();
    if (move.kind == OffloadMoveKind::kDrop) {
      files_.erase(id(move));
      if (move.group < 0) files_.clear();
      return;
    }
    bool ok = random_.next() % 4 != 0;
    auto& slot = slots_[static_cast<std::size_t>(move.slot)];
    if (move.kind == OffloadMoveKind::kSpill) {
      EXPECT_EQ(slot, id(move)) << "the slot has changed while it was written";
      if (ok) files_[id(move)] = true;
    } else {
      ok = ok && files_.contains(id(move));
      if (ok) slot = id(move);
      if (!ok) files_.erase(id(move));
    }
    end(offload, move, ok);
  }
  bool is_quiet() const { return under_way_.empty(); }
  std::size_t num_files() const { return files_.size(); }

 private:
  using Id = std::pair<std::array<uint8_t, 32>, int32_t>;
  static Id id(const OffloadMove& move) { return {move.key.bytes, move.group}; }
  std::vector<Id> slots_;
  std::map<Id, bool> files_;
  std::deque<OffloadMove> under_way_;
  SplitMix64 random_;
};

TEST(OffloadIndex, AnyOrderOfEventsKeepsTheBooks) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SplitMix64 random(seed);
    const auto num_slots = static_cast<int32_t>(1 + random.next() % 6);
    const auto num_disk = static_cast<int64_t>(random.next() % 10);
    OffloadIndex offload(num_slots, num_disk, kNumGroups);
    Store store(num_slots, seed + 1000);
    for (int step = 0; step < 600; ++step) {
      const BlockKey key = key_of(random.next() % 14);
      const auto group = static_cast<int32_t>(random.next() % 2);
      const Where where = offload.where(key, group);
      switch (random.next() % 8) {
        case 0:
        case 1:
        case 2:
          offload.store(1, key, group);
          break;
        case 3:
          if (where == Where::kMemory) offload.load(key, group, 2);
          if (where == Where::kDisk) offload.fetch(key, group);
          break;
        case 4:
          if (random.next() % 4 == 0) offload.erase(key, group);
          if (random.next() % 50 == 0) offload.clear();
          break;
        case 5: {
          std::vector<OffloadMove> moves = take(&offload);
          store.run(moves);
          break;
        }
        default:
          store.end_one(&offload);
      }
      offload.check();
      if (HasFailure()) FAIL() << "seed " << seed << ", step " << step;
    }
    store.run(take(&offload));
    while (!store.is_quiet()) store.end_one(&offload);
    EXPECT_EQ(offload.num_under_way(), 0);
    EXPECT_EQ(offload.num_fetching(), 0);
    EXPECT_EQ(static_cast<std::size_t>(offload.stats().num_used_disk_slots), store.num_files())
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace pagoda
