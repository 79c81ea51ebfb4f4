#include "kv/block_pool.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "base/rng.h"

namespace pagoda {
namespace {

TEST(BlockPool, GivesOutEachBlockOnceAndNeverTheNullBlock) {
  BlockPool pool(9);
  std::set<BlockId> seen;
  while (pool.num_free() > 0) {
    BlockId block = pool.allocate();
    EXPECT_GT(block, kNullBlock);
    EXPECT_LT(block, 9);
    EXPECT_TRUE(seen.insert(block).second);
  }
  EXPECT_EQ(seen.size(), 8u);
  pool.check();
}

TEST(BlockPool, NullBlockAloneHasNothingToGive) {
  BlockPool pool(1);
  EXPECT_EQ(pool.num_free(), 0);
  pool.check();
}

TEST(BlockPool, SharedBlockIsFreeOnlyAfterItsLastReference) {
  BlockPool pool(3);
  BlockId block = pool.allocate();
  pool.ref(block);
  pool.unref(block, false);
  EXPECT_EQ(pool.num_free(), 1);
  EXPECT_EQ(pool.ref_count(block), 1);
  pool.unref(block, false);
  EXPECT_EQ(pool.num_free(), 2);
  EXPECT_EQ(pool.allocate(), block) << "what was given back last is used first";
}

TEST(BlockPool, FreeBlockCanBeTakenOutOfTheMiddleOfTheList) {
  BlockPool pool(6);  // free: 1 2 3 4 5
  pool.ref(3);
  pool.check();
  EXPECT_EQ(pool.num_free(), 4);
  std::vector<BlockId> rest;
  while (pool.num_free() > 0) rest.push_back(pool.allocate());
  EXPECT_EQ(rest, (std::vector<BlockId>{1, 2, 4, 5}));
  pool.unref(3, false);
  pool.check();
}

TEST(BlockPool, ConservesUnderRandomUse) {
  BlockPool pool(40);
  SplitMix64 random(7);
  std::vector<BlockId> held;  // one entry per reference
  for (int step = 0; step < 20000; ++step) {
    uint64_t choice = random.below(4);
    if (choice == 0 && pool.num_free() > 0) {
      held.push_back(pool.allocate());
    } else if (choice == 1 && !held.empty()) {
      held.push_back(held[random.below(held.size())]);
      pool.ref(held.back());
    } else if (!held.empty()) {
      std::size_t i = random.below(held.size());
      pool.unref(held[i], false);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (step % 64 == 0) pool.check();
    EXPECT_EQ(pool.num_free(), 39 - static_cast<int>(std::set<BlockId>(held.begin(), held.end()).size()));
  }
  for (BlockId block : held) pool.unref(block, false);
  EXPECT_EQ(pool.num_free(), 39);
  pool.check();
}

TEST(BlockPoolDeathTest, RefusesASecondReturn) {
  BlockPool pool(3);
  BlockId block = pool.allocate();
  pool.unref(block, false);
  EXPECT_DEATH(pool.unref(block, false), "given back twice");
  EXPECT_DEATH(pool.unref(kNullBlock, false), "given back twice");
}

}  // namespace
}  // namespace pagoda
