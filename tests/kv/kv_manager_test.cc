#include "kv/kv_manager.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/rng.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

std::vector<const SeqKv*> pointers(const std::vector<std::unique_ptr<SeqKv>>& all) {
  std::vector<const SeqKv*> out;
  for (const auto& seq : all) out.push_back(seq.get());
  return out;
}

TEST(KvManager, ReserveGrowsByWholeBlocks) {
  KvManager kv({testing::full_group(4)}, 11);
  SeqKv seq;
  for (auto [tokens, blocks] : {std::pair{1, 1}, {4, 1}, {5, 2}, {5, 2}, {3, 2}, {17, 5}}) {
    ASSERT_TRUE(kv.reserve(&seq, 0, tokens));
    EXPECT_EQ(seq.groups[0].blocks.size(), static_cast<std::size_t>(blocks)) << tokens;
    EXPECT_EQ(kv.num_free(), 10 - blocks);
  }
  EXPECT_DOUBLE_EQ(kv.usage(), 0.5);
  kv.release(&seq);
  EXPECT_EQ(kv.num_free(), 10);
  EXPECT_DOUBLE_EQ(kv.usage(), 0);
}

TEST(KvManager, ReserveIsAllOrNothingOverGroups) {
  KvManager kv({testing::full_group(4), testing::full_group(4)}, 5);
  SeqKv seq, other;
  ASSERT_TRUE(kv.reserve(&seq, 0, 4));     // 1 + 1
  EXPECT_FALSE(kv.reserve(&other, 0, 5));  // 2 + 2 > 2
  EXPECT_EQ(kv.num_free(), 2);
  ASSERT_TRUE(kv.reserve(&other, 0, 4));
  EXPECT_EQ(kv.num_free(), 0);
  EXPECT_TRUE(kv.reserve(&other, 0, 3)) << "nothing more is needed";
  const SeqKv* all[] = {&seq, &other};
  kv.check(all);
}

TEST(KvManager, AnnouncesEachEntryOnce) {
  KvManager kv({testing::full_group(4), testing::full_group(4)}, 20);
  SeqKv seq;
  std::vector<NewBlocks> entries;
  std::vector<BlockId> ids;
  ASSERT_TRUE(kv.reserve(&seq, 0, 4));
  kv.append_new_blocks(&seq, 3, &entries, &ids);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].group, 1);
  EXPECT_EQ(entries[1].count, 1);
  kv.append_new_blocks(&seq, 3, &entries, &ids);
  EXPECT_EQ(entries.size(), 2u);
  ASSERT_TRUE(kv.reserve(&seq, 4, 9));
  kv.append_new_blocks(&seq, 3, &entries, &ids);
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[2].row, 3);
  EXPECT_EQ(entries[2].first_index, 1);
  EXPECT_EQ(entries[2].count, 2);
  for (const NewBlocks& entry : entries) {
    for (int i = 0; i < entry.count; ++i) {
      EXPECT_EQ(ids[static_cast<std::size_t>(entry.begin + i)],
                seq.groups[static_cast<std::size_t>(entry.group)]
                    .blocks[static_cast<std::size_t>(entry.first_index + i)]);
    }
  }
  kv.release(&seq);
  kv.check();
}

TEST(KvManager, ForkSharesFullBlocksAndCopiesThePartialOne) {
  for (int tokens : {1, 3, 4, 7, 8, 9}) {
    KvManager kv({testing::full_group(4), testing::full_group(4)}, 40);
    SeqKv from, to;
    ASSERT_TRUE(kv.reserve(&from, 0, tokens));
    int free_before = kv.num_free();
    std::vector<BlockCopy> copies;
    ASSERT_TRUE(kv.fork(from, tokens, &to, &copies));
    std::size_t copy = 0;
    for (std::size_t g = 0; g < 2; ++g) {
      int size = 4;
      const auto &a = from.groups[g].blocks, &b = to.groups[g].blocks;
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        bool full = static_cast<int>(i + 1) * size <= tokens;
        EXPECT_EQ(a[i] == b[i], full) << "tokens " << tokens << " group " << g << " index " << i;
        if (full) continue;
        ASSERT_LT(copy, copies.size());
        EXPECT_EQ(copies[copy].group, static_cast<int>(g));
        EXPECT_EQ(copies[copy].src, a[i]);
        EXPECT_EQ(copies[copy].dst, b[i]);
        ++copy;
      }
      EXPECT_EQ(to.groups[g].num_sent, 0) << "a fork's row has not been told of any block";
    }
    EXPECT_EQ(copies.size(), copy);
    EXPECT_EQ(kv.num_free(), free_before - static_cast<int>(copies.size()));
    const SeqKv* both[] = {&from, &to};
    kv.check(both);
    kv.release(&from);
    const SeqKv* one[] = {&to};
    kv.check(one);
    kv.release(&to);
    EXPECT_EQ(kv.num_free(), 39);
  }
}

TEST(KvManager, ForkWithoutRoomChangesNothing) {
  KvManager kv({testing::full_group(4)}, 3);
  SeqKv from, to;
  ASSERT_TRUE(kv.reserve(&from, 0, 6));
  std::vector<BlockCopy> copies;
  EXPECT_FALSE(kv.fork(from, 6, &to, &copies));
  EXPECT_TRUE(copies.empty());
  EXPECT_EQ(kv.num_held(to), 0);
  EXPECT_TRUE(kv.fork(from, 4, &to, &copies)) << "full blocks cost nothing";
  const SeqKv* both[] = {&from, &to};
  kv.check(both);
}

TEST(KvManager, GivesBackWhatFellBehindTheWindow) {
  constexpr int kWindow = 6, kBlock = 4, kStep = 5;
  KvManager kv({testing::window_group(kBlock, kWindow)}, 50);
  SeqKv seq;
  int64_t bound = kv.blocks_needed(1000000, kStep), most = 0;
  for (int computed = 0; computed < 150;) {
    int step = 1 + computed % kStep;
    ASSERT_TRUE(kv.reserve(&seq, computed, computed + step));
    const GroupTable& table = seq.groups[0];
    for (int position = 0; position < computed + step; ++position) {
      if (position <= computed - kWindow) continue;
      EXPECT_NE(table.blocks[static_cast<std::size_t>(position / kBlock)], kNullBlock) << position;
    }
    int oldest_visible = std::max(computed - kWindow + 1, 0);
    EXPECT_EQ(table.num_out_of_window, oldest_visible / kBlock);
    most = std::max<int64_t>(most, 49 - kv.num_free());
    const SeqKv* all[] = {&seq};
    kv.check(all);
    computed += step;
  }
  EXPECT_LE(most, bound);
  EXPECT_GE(most, bound - 1) << "the bound is loose";
  kv.release(&seq);
  EXPECT_EQ(kv.num_free(), 49);
}

TEST(KvManager, ForkOfAWindowedSequenceKeepsTheNullBlocks) {
  KvManager kv({testing::window_group(2, 3)}, 30);
  SeqKv from, to;
  ASSERT_TRUE(kv.reserve(&from, 0, 8));
  ASSERT_TRUE(kv.reserve(&from, 8, 11));
  ASSERT_EQ(from.groups[0].num_out_of_window, 3);
  std::vector<BlockCopy> copies;
  ASSERT_TRUE(kv.fork(from, 11, &to, &copies));
  EXPECT_EQ(to.groups[0].num_out_of_window, 3);
  const SeqKv* both[] = {&from, &to};
  kv.check(both);
  kv.release(&to);
  kv.release(&from);
  EXPECT_EQ(kv.num_free(), 29);
}

TEST(KvManager, BlocksNeeded) {
  KvManager full({testing::full_group(16)}, 10);
  EXPECT_EQ(full.blocks_needed(0, 8), 0);
  EXPECT_EQ(full.blocks_needed(16, 8), 1);
  EXPECT_EQ(full.blocks_needed(17, 8), 2);
  KvManager two({testing::full_group(8), testing::window_group(8, 10)}, 10);
  EXPECT_EQ(two.blocks_needed(17, 1), 3 + 3);
  EXPECT_EQ(two.blocks_needed(160, 1), 20 + 3);  // 10 visible positions touch at most 3 blocks of 8
}

TEST(KvManager, ConservesUnderRandomUse) {
  KvManager kv({testing::full_group(4), testing::window_group(4, 5)}, 60);
  SplitMix64 random(11);
  std::vector<std::unique_ptr<SeqKv>> all;
  std::vector<int> length;
  for (int step = 0; step < 5000; ++step) {
    uint64_t choice = random.below(8);
    std::size_t i = all.empty() ? 0 : random.below(all.size());
    if (choice == 0 || all.empty()) {
      all.push_back(std::make_unique<SeqKv>());
      length.push_back(0);
    } else if (choice == 1) {
      kv.release(all[i].get());
      EXPECT_EQ(kv.num_held(*all[i]), 0);
      all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
      length.erase(length.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (choice == 2 && length[i] > 0) {
      auto twin = std::make_unique<SeqKv>();
      std::vector<BlockCopy> copies;
      if (kv.fork(*all[i], length[i], twin.get(), &copies)) {
        all.push_back(std::move(twin));
        length.push_back(length[i]);
      }
    } else {
      int more = 1 + static_cast<int>(random.below(6));
      if (kv.reserve(all[i].get(), length[i], length[i] + more)) length[i] += more;
    }
    kv.check(pointers(all));
  }
  for (auto& seq : all) kv.release(seq.get());
  EXPECT_EQ(kv.num_free(), 59);
  kv.check();
}

}  // namespace
}  // namespace pagoda
