// Groups of recurrent states: a page for each sequence, and checkpoints where steps have ended with a block.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kv/kv_manager.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

constexpr int32_t kBlock = 4;

std::vector<TokenId> count_up(int count) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

class RecurrentState : public ::testing::Test {
 protected:
  void step(SeqKv* seq, const std::vector<TokenId>& tokens, int32_t begin, int32_t end) {
    ASSERT_TRUE(kv_.reserve(seq, begin, end));
    kv_.cache_blocks(seq, tokens, begin, end, {});
    const SeqKv* all[] = {seq};
    kv_.check(all);
  }
  int32_t match_alone(const std::vector<TokenId>& tokens) {
    SeqKv seq;
    const int32_t found = kv_.match(&seq, tokens, {});
    if (found > 0) {
      EXPECT_NE(seq.groups[1].blocks.back(), kNullBlock);
      EXPECT_EQ(seq.groups[1].num_out_of_window, found / kBlock - 1);
    }
    kv_.release(&seq);
    return found;
  }
  KvManager kv_{{testing::full_group(kBlock), testing::state_group(kBlock)}, 60};
  const std::vector<TokenId> tokens_ = count_up(60);
};

TEST_F(RecurrentState, APageForASequence) {
  SeqKv seq;
  step(&seq, tokens_, 0, 30);
  EXPECT_EQ(seq.groups[1].blocks.size(), 8u);
  EXPECT_EQ(kv_.num_held(seq), 8 + 1);
  step(&seq, tokens_, 30, 31);  // in place
  EXPECT_EQ(kv_.num_held(seq), 8 + 1);
  step(&seq, tokens_, 31, 33);  // from one block to the next: the state before is read
  EXPECT_EQ(kv_.num_exclusive(seq), 9 + 2);
  EXPECT_EQ(kv_.num_held(seq), 9 + 1) << "the next step gives the other back";
  step(&seq, tokens_, 33, 34);
  EXPECT_EQ(kv_.num_held(seq), 9 + 1);
  EXPECT_EQ(kv_.blocks_needed(34, 8), 9 + 2);
  EXPECT_DOUBLE_EQ(kv_.usage(1), 1. / 59);
  EXPECT_EQ(kv_.num_exclusive(seq), 10);
  kv_.release(&seq);
  EXPECT_EQ(kv_.num_free(), 59);
}

TEST_F(RecurrentState, AHitResumesFromTheLastCheckpoint) {
  SeqKv seq;
  step(&seq, tokens_, 0, 8);
  EXPECT_EQ(match_alone(tokens_), 0) << "the state is not there before the next step";
  step(&seq, tokens_, 8, 20);
  EXPECT_EQ(match_alone(tokens_), 8);
  step(&seq, tokens_, 20, 21);
  EXPECT_EQ(match_alone(tokens_), 20);
  EXPECT_EQ(match_alone(count_up(20)), 8) << "never the last token";
  step(&seq, tokens_, 21, 26);  // over 24, where no step ends
  step(&seq, tokens_, 26, 28);
  step(&seq, tokens_, 28, 29);
  EXPECT_EQ(match_alone(count_up(28)), 20);
  EXPECT_EQ(match_alone(tokens_), 28);
  kv_.release(&seq);
  EXPECT_EQ(match_alone(tokens_), 28) << "content outlives its sequence";
}

// The chunk of a step may grow while it is planned: the state moves along.
TEST_F(RecurrentState, AStepLeavesOneState) {
  SeqKv seq;
  ASSERT_TRUE(kv_.reserve(&seq, 0, 4));
  const BlockId block = seq.groups[1].blocks.back();
  step(&seq, tokens_, 0, 16);
  EXPECT_EQ(seq.groups[1].blocks, (std::vector<BlockId>{0, 0, 0, block}));
  std::vector<NewBlocks> entries;
  std::vector<BlockId> ids;
  kv_.append_new_blocks(&seq, 0, &entries, &ids);
  EXPECT_EQ(entries[1].count, 4);
}

// A sequence at a block's end takes what others have computed since, and their state with it.
TEST_F(RecurrentState, TakesTheStateOfASharedPrefix) {
  SeqKv slow, fast;
  step(&slow, tokens_, 0, 4);
  const SeqKv* both[] = {&slow, &fast};
  ASSERT_EQ(kv_.match(&fast, tokens_, {}), 0);
  for (int32_t begin : {0, 4, 8, 12}) {
    ASSERT_TRUE(kv_.reserve(&fast, begin, begin + 4));
    kv_.cache_blocks(&fast, tokens_, begin, begin + 4, {});
  }
  EXPECT_EQ(kv_.match(&slow, tokens_, {}), 12);
  EXPECT_EQ(slow.groups[1].blocks[2], fast.groups[1].blocks[2]);
  EXPECT_EQ(slow.groups[1].num_out_of_window, 2);
  kv_.check(both);
}

TEST_F(RecurrentState, AForkCopiesAStateWithinABlock) {
  for (int32_t tokens : {6, 8}) {
    SeqKv from, to;
    ASSERT_TRUE(kv_.reserve(&from, 0, tokens));
    std::vector<BlockCopy> copies;
    ASSERT_TRUE(kv_.fork(from, tokens, &to, &copies));
    EXPECT_EQ(copies.size(), tokens % kBlock == 0 ? 0u : 2u);
    EXPECT_EQ(from.groups[1].blocks[1] == to.groups[1].blocks[1], tokens % kBlock == 0);
    const SeqKv* both[] = {&from, &to};
    kv_.check(both);
    kv_.release(&from);
    kv_.release(&to);
  }
  EXPECT_EQ(kv_.num_free(), 59);
}

}  // namespace
}  // namespace pagoda
