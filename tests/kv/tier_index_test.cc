#include "kv/tier_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "base/rng.h"

namespace pagoda {
namespace {

using Where = TierIndex::Where;

BlockKey key_of(uint64_t number) {
  BlockKey key;
  std::memcpy(key.bytes.data(), &number, sizeof number);
  return key;
}
std::vector<TierMove> take(TierIndex* tier) {
  std::vector<TierMove> moves;
  tier->take_moves(&moves);
  tier->check();
  return moves;
}
void end(TierIndex* tier, const TierMove& move, bool ok = true) {
  tier->done({.kind = move.kind, .group = move.group, .slot = move.slot, .key = move.key, .ok = ok});
  tier->check();
}

TEST(TierIndex, TheLongestUnwantedGivesItsSlot) {
  TierIndex tier(2, 0);
  EXPECT_TRUE(tier.store(7, key_of(1), 0));
  EXPECT_TRUE(tier.store(8, key_of(2), 0));
  EXPECT_TRUE(tier.store(9, key_of(1), 0));  // has it: wanted again
  EXPECT_TRUE(tier.store(9, key_of(3), 0));  // in the place of 2
  EXPECT_EQ(tier.where(key_of(1), 0), Where::kMemory);
  EXPECT_EQ(tier.where(key_of(2), 0), Where::kNowhere);
  EXPECT_EQ(tier.where(key_of(3), 0), Where::kMemory);
  EXPECT_EQ(tier.where(key_of(3), 1), Where::kNowhere) << "groups are apart";
  const std::vector<TierMove> moves = take(&tier);
  ASSERT_EQ(moves.size(), 3u);
  for (const TierMove& move : moves) EXPECT_EQ(move.kind, TierMoveKind::kStore);
  EXPECT_EQ(moves[2].slot, moves[1].slot);
  EXPECT_EQ(moves[2].block, 9);
}

TEST(TierIndex, ALoadedSlotIsLeftAloneUntilTheMovesAreTaken) {
  TierIndex tier(1, 0);
  ASSERT_TRUE(tier.store(1, key_of(1), 0));
  tier.load(key_of(1), 0, 5);
  EXPECT_FALSE(tier.store(2, key_of(2), 0));
  EXPECT_EQ(tier.stats().num_stores_skipped, 1u);
  take(&tier);
  EXPECT_TRUE(tier.store(2, key_of(2), 0));
}

TEST(TierIndex, WritesThroughAndFetches) {
  TierIndex tier(1, 8);
  ASSERT_TRUE(tier.store(1, key_of(1), 0));
  std::vector<TierMove> moves = take(&tier);
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_EQ(moves[1].kind, TierMoveKind::kSpill);
  EXPECT_FALSE(tier.store(2, key_of(2), 0)) << "the slot is being written to disk";
  end(&tier, moves[1]);
  ASSERT_TRUE(tier.store(2, key_of(2), 0));
  EXPECT_EQ(tier.where(key_of(1), 0), Where::kDisk);
  EXPECT_FALSE(tier.fetch(key_of(1), 0)) << "no slot";
  end(&tier, take(&tier)[1]);
  ASSERT_TRUE(tier.fetch(key_of(1), 0));
  EXPECT_EQ(tier.where(key_of(1), 0), Where::kComing);
  EXPECT_TRUE(tier.is_fetching(tier.last_fetch()));
  EXPECT_FALSE(tier.is_fetching(tier.last_fetch() - 1));
  moves = take(&tier);
  ASSERT_EQ(moves.size(), 1u);
  end(&tier, moves[0]);
  EXPECT_FALSE(tier.is_fetching(tier.last_fetch()));
  EXPECT_EQ(tier.where(key_of(1), 0), Where::kMemory);
}

TEST(TierIndex, WhatCannotBeReadIsForgotten) {
  TierIndex tier(2, 8);
  tier.adopt({key_of(1), 0});
  ASSERT_EQ(tier.where(key_of(1), 0), Where::kDisk);
  ASSERT_TRUE(tier.fetch(key_of(1), 0));
  end(&tier, take(&tier)[0], false);
  EXPECT_EQ(tier.where(key_of(1), 0), Where::kNowhere);
  EXPECT_FALSE(tier.is_fetching(tier.last_fetch()));
  const TierStats stats = tier.stats();
  EXPECT_EQ(stats.num_failed_fetches, 1u);
  EXPECT_EQ(stats.num_used_slots, 0);
  EXPECT_EQ(stats.num_used_disk_slots, 0);
}

TEST(TierIndex, AFullDiskDropsItsOldest) {
  TierIndex tier(4, 2);
  for (uint64_t key : {1, 2, 3}) tier.adopt({key_of(key), 0});
  std::vector<TierMove> moves = take(&tier);
  ASSERT_EQ(moves.size(), 1u);
  EXPECT_EQ(moves[0].kind, TierMoveKind::kDrop);
  EXPECT_EQ(moves[0].key, key_of(1));
  ASSERT_TRUE(tier.store(1, key_of(4), 0));
  moves = take(&tier);
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[1].kind, TierMoveKind::kDrop);
  EXPECT_EQ(moves[1].key, key_of(2));
  EXPECT_EQ(moves[2].kind, TierMoveKind::kSpill);
}

TEST(TierIndex, ClearedWhileMovesAreUnderWay) {
  TierIndex tier(3, 8);
  tier.adopt({key_of(1), 0});
  ASSERT_TRUE(tier.fetch(key_of(1), 0));
  ASSERT_TRUE(tier.store(1, key_of(2), 0));
  const std::vector<TierMove> moves = take(&tier);
  tier.clear();
  tier.check();
  EXPECT_EQ(tier.where(key_of(2), 0), Where::kNowhere);
  ASSERT_TRUE(tier.store(1, key_of(2), 0)) << "anew, in another slot";
  end(&tier, moves[0]);
  end(&tier, moves[2]);
  EXPECT_EQ(tier.where(key_of(1), 0), Where::kNowhere);
  const std::vector<TierMove> later = take(&tier);
  EXPECT_EQ(later[0].kind, TierMoveKind::kDrop);
  EXPECT_EQ(later[0].group, -1);
  end(&tier, later[2]);
  EXPECT_EQ(tier.stats().num_used_slots, 1);
  EXPECT_EQ(tier.stats().num_used_disk_slots, 1);
}

TEST(TierIndex, ClearedBeforeTheMovesAreTaken) {
  TierIndex tier(3, 8);
  tier.adopt({key_of(1), 0});
  ASSERT_TRUE(tier.fetch(key_of(1), 0));
  ASSERT_TRUE(tier.store(1, key_of(2), 0));
  tier.load(key_of(2), 0, 4);  // somebody counts on it
  tier.clear();
  tier.check();
  EXPECT_EQ(tier.num_under_way(), 0);
  EXPECT_FALSE(tier.is_fetching(tier.last_fetch()));
  const std::vector<TierMove> moves = take(&tier);
  ASSERT_EQ(moves.size(), 3u);
  EXPECT_EQ(moves[0].kind, TierMoveKind::kStore);
  EXPECT_EQ(moves[1].kind, TierMoveKind::kLoad);
  EXPECT_EQ(moves[2].kind, TierMoveKind::kDrop);
  EXPECT_EQ(tier.stats().num_used_slots, 0);
  EXPECT_EQ(tier.stats().num_used_disk_slots, 0);
}

// A runner that does what it is told, late and with failures; the index's word is compared with its slots and
// files.
class Store {
 public:
  Store(int32_t num_slots, uint64_t seed) : slots_(static_cast<std::size_t>(num_slots)), random_(seed) {}

  void run(const std::vector<TierMove>& moves) {
    for (TierMoveKind kind : {TierMoveKind::kStore, TierMoveKind::kLoad})
      for (const TierMove& move : moves)
        if (move.kind == kind) {
          auto& slot = slots_[static_cast<std::size_t>(move.slot)];
          if (kind == TierMoveKind::kStore) slot = id(move);
          EXPECT_EQ(slot, id(move)) << "loaded from a slot with other content";
        }
    for (const TierMove& move : moves)
      if (move.kind != TierMoveKind::kStore && move.kind != TierMoveKind::kLoad) under_way_.push_back(move);
  }
  void end_one(TierIndex* tier) {
    if (under_way_.empty()) return;
    const TierMove move = under_way_.front();
    under_way_.pop_front();
    if (move.kind == TierMoveKind::kDrop) {
      files_.erase(id(move));
      if (move.group < 0) files_.clear();
      return;
    }
    bool ok = random_.next() % 4 != 0;
    auto& slot = slots_[static_cast<std::size_t>(move.slot)];
    if (move.kind == TierMoveKind::kSpill) {
      EXPECT_EQ(slot, id(move)) << "the slot has changed while it was written";
      if (ok) files_[id(move)] = true;
    } else {
      ok = ok && files_.contains(id(move));
      if (ok) slot = id(move);
      if (!ok) files_.erase(id(move));
    }
    end(tier, move, ok);
  }
  bool is_quiet() const { return under_way_.empty(); }
  std::size_t num_files() const { return files_.size(); }

 private:
  using Id = std::pair<std::array<uint8_t, 32>, int32_t>;
  static Id id(const TierMove& move) { return {move.key.bytes, move.group}; }
  std::vector<Id> slots_;
  std::map<Id, bool> files_;
  std::deque<TierMove> under_way_;
  SplitMix64 random_;
};

TEST(TierIndex, AnyOrderOfEventsKeepsTheBooks) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SplitMix64 random(seed);
    const auto num_slots = static_cast<int32_t>(1 + random.next() % 6);
    const auto num_disk = static_cast<int64_t>(random.next() % 10);
    TierIndex tier(num_slots, num_disk);
    Store store(num_slots, seed + 1000);
    for (int step = 0; step < 600; ++step) {
      const BlockKey key = key_of(random.next() % 14);
      const auto group = static_cast<int32_t>(random.next() % 2);
      const Where where = tier.where(key, group);
      switch (random.next() % 8) {
        case 0:
        case 1:
        case 2:
          tier.store(1, key, group);
          break;
        case 3:
          if (where == Where::kMemory) tier.load(key, group, 2);
          if (where == Where::kDisk) tier.fetch(key, group);
          break;
        case 4:
          if (random.next() % 4 == 0) tier.erase(key, group);
          if (random.next() % 50 == 0) tier.clear();
          break;
        case 5: {
          std::vector<TierMove> moves = take(&tier);
          store.run(moves);
          break;
        }
        default:
          store.end_one(&tier);
      }
      tier.check();
      if (HasFailure()) FAIL() << "seed " << seed << ", step " << step;
    }
    store.run(take(&tier));
    while (!store.is_quiet()) store.end_one(&tier);
    EXPECT_EQ(tier.num_under_way(), 0);
    EXPECT_EQ(tier.num_fetching(), 0);
    EXPECT_EQ(static_cast<std::size_t>(tier.stats().num_used_disk_slots), store.num_files())
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace pagoda
