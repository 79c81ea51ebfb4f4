// Lives of blocks, as the cache tells of them.
#include "kv/residency_sampler.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

#include "kv/kv_manager.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

using std::chrono::seconds;

constexpr int32_t kBlockSize = 4;

struct Cache {
  explicit Cache(double sample, int32_t num_blocks)
      : kv({testing::full_group(kBlockSize)}, num_blocks, {.residency_sample = sample}) {
    at(0);
  }
  void at(int second) { kv.begin_step(Time{seconds(1000 + second)}); }
  // A sequence of one full block and a token more, begun and ended.
  void serve(TokenId first) {
    std::vector<TokenId> tokens(kBlockSize + 1);
    std::iota(tokens.begin(), tokens.end(), first);
    SeqKv seq;
    const int32_t found = kv.match(&seq, tokens, {});
    ASSERT_TRUE(kv.reserve(&seq, found, kBlockSize + 1));
    kv.cache_blocks(&seq, tokens, 0, kBlockSize + 1, {});
    kv.release(&seq);
  }
  std::vector<BlockResidency> lives() {
    std::vector<BlockResidency> out;
    kv.take_residencies(&out);
    return out;
  }
  KvManager kv;
};

TEST(ResidencySampler, TellsOfABlockWhenItsContentGivesWay) {
  Cache cache(1, 4);  // three blocks
  cache.serve(100);
  for (int second : {10, 11, 13, 16, 20}) {
    cache.at(second);
    cache.serve(100);
  }
  EXPECT_TRUE(cache.lives().empty()) << "it is still there";
  cache.at(50);
  for (TokenId first : {200, 300, 400, 500}) cache.serve(first);
  const auto lives = cache.lives();
  ASSERT_FALSE(lives.empty());
  EXPECT_EQ(lives[0].lifetime_s, 50);
  EXPECT_EQ(lives[0].idle_s, 30);
  EXPECT_EQ(std::vector<double>(lives[0].reuse_gaps_s.begin(), lives[0].reuse_gaps_s.end()),
            (std::vector<double>{2, 3, 4}));  // of the last four times
  EXPECT_TRUE(cache.lives().empty()) << "told once";
}

TEST(ResidencySampler, ABlockThatWasNotFoundHasBeenIdleAllItsLife) {
  Cache cache(1, 4);
  cache.serve(100);
  cache.at(7);
  for (TokenId first : {200, 300, 400}) cache.serve(first);
  const auto lives = cache.lives();
  ASSERT_FALSE(lives.empty());
  EXPECT_EQ(lives[0].lifetime_s, 7);
  EXPECT_EQ(lives[0].idle_s, 7);
  EXPECT_TRUE(lives[0].reuse_gaps_s.empty());
}

TEST(ResidencySampler, AResetEndsNoLife) {
  Cache cache(1, 4);
  cache.serve(100);
  cache.kv.reset_prefix_cache();
  for (TokenId first : {200, 300}) cache.serve(first);
  EXPECT_TRUE(cache.lives().empty());
}

TEST(ResidencySampler, ASampleIsAboutAsLargeAsAskedFor) {
  Cache none(0, 4), tenth(0.1, 64);
  for (TokenId i = 0; i < 5000; ++i) {
    none.serve(10 * i);
    tenth.serve(10 * i);
  }
  EXPECT_TRUE(none.lives().empty());
  const auto num_lives = static_cast<double>(tenth.lives().size());
  EXPECT_GT(num_lives, 400);
  EXPECT_LT(num_lives, 600);
}

}  // namespace
}  // namespace pagoda
