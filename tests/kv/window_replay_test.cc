// Windows that stay out of the prefix cache: a hit computes so much of its end again that they show the same.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kv/kv_manager.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

constexpr int32_t kBlock = 2, kReplay = 8;  // two layers of a window of 5

std::vector<TokenId> count_up(int count) {
  std::vector<TokenId> tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

class WindowReplay : public ::testing::TestWithParam<BlockHashAlgo> {
 protected:
  KvManager kv_{{testing::full_group(kBlock), testing::window_group(kBlock, 5, 0, 2)},
                200,
                {.hash_algo = GetParam(), .replay_tokens = kReplay}};
  void compute(SeqKv* seq, const std::vector<TokenId>& tokens) {
    const auto size = static_cast<int32_t>(tokens.size());
    const int32_t computed = kv_.match(seq, tokens, {});
    ASSERT_TRUE(kv_.reserve(seq, computed, size));
    kv_.cache_blocks(seq, tokens, computed, size, {});
  }
};
INSTANTIATE_TEST_SUITE_P(Hashes, WindowReplay,
                         ::testing::Values(BlockHashAlgo::kSha256, BlockHashAlgo::kXxhash));

TEST_P(WindowReplay, AHitIsComputedAgainFromItsEnd) {
  SeqKv first;
  compute(&first, count_up(40));
  EXPECT_EQ(kv_.num_cached(), 20) << "windows are not in the cache";
  kv_.release(&first);
  for (auto [length, resume] : {std::pair{9, 0}, {10, 0}, {11, 2}, {12, 2}, {40, 30}, {41, 32}, {80, 32}}) {
    SeqKv seq;
    EXPECT_EQ(kv_.match(&seq, count_up(length), {}), resume) << length;
    EXPECT_EQ(seq.replay_end, resume == 0 ? 0 : resume + kReplay) << length;
    EXPECT_EQ(kv_.num_held(seq), resume == 0 ? 0 : (resume + kReplay) / kBlock) << length;
    ASSERT_TRUE(kv_.reserve(&seq, resume, length));
    const std::vector<BlockId>& window = seq.groups[1].blocks;
    for (int32_t i = 0; i < static_cast<int32_t>(window.size()); ++i)
      EXPECT_EQ(window[static_cast<std::size_t>(i)] == kNullBlock, i < resume / kBlock) << length << " " << i;
    const SeqKv* all[] = {&seq};
    kv_.check(all);
    kv_.release(&seq);
    EXPECT_EQ(seq.replay_end, 0);
  }
}

// What it shares is not cached again, and a sequence that holds something takes nothing more.
TEST_P(WindowReplay, GoesOnAlone) {
  SeqKv first, second;
  compute(&first, count_up(40));
  compute(&second, count_up(60));
  EXPECT_EQ(kv_.num_cached(), 30);
  for (std::size_t i = 0; i < 19; ++i) EXPECT_EQ(first.groups[0].blocks[i], second.groups[0].blocks[i]);
  EXPECT_EQ(kv_.match(&first, count_up(60), {}), 0);
  EXPECT_EQ(first.groups[0].blocks.size(), 20u);
  // Windows give back what is out of sight, to whichever group asks.
  ASSERT_TRUE(kv_.reserve(&second, 60, 61));
  EXPECT_EQ(second.groups[1].num_out_of_window, 28);
  EXPECT_DOUBLE_EQ(kv_.usage(1), (20. + 3) / 199);
  EXPECT_DOUBLE_EQ(kv_.usage(0) + kv_.usage(1), kv_.usage());
  kv_.release(&first);
  kv_.release(&second);
  EXPECT_EQ(kv_.usage(0), 0);
  EXPECT_EQ(kv_.usage(1), 0);
}

}  // namespace
}  // namespace pagoda
