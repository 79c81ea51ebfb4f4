// KvManager with offloading: contents are hashes in arrays, moved by a fake as plans say.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/rng.h"
#include "kv/kv_manager.h"
#include "tests/testing/fake_offload.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

constexpr int32_t kBlock = 4;

PrefixCacheConfig with_offload(int32_t slots, int64_t disk_slots) {
  PrefixCacheConfig config;
  config.offload_slots = slots;
  config.offload_disk_slots = disk_slots;
  return config;
}

// A scheduler of one sequence at a time and its runner: every block that a sequence is given must hold the
// hash of the sequence's prefix.
class Harness {
 public:
  Harness(std::vector<KvGroupSpec> groups, int32_t num_blocks, const PrefixCacheConfig& config,
          const testing::FakeOffloadConfig& fake)
      : groups_(groups),
        kv(groups, num_blocks, config),
        offload(
            fake, [](bool condition, const std::string& what) { EXPECT_TRUE(condition) << what; },
            [this](int32_t group, BlockId block) {
              return std::span(contents_[static_cast<std::size_t>(group)])
                  .subspan(static_cast<std::size_t>(block), 1);
            }) {
    contents_.assign(groups.size(), std::vector<uint64_t>(static_cast<std::size_t>(num_blocks)));
  }

  struct Served {
    int32_t matched = 0, loaded = 0;  // tokens
    int rounds = 0;
  };
  // One request from its arrival to its end.
  Served serve(const std::vector<TokenId>& tokens, const CacheScope& scope = {}) {
    Served served;
    SeqKv seq;
    for (; kv.start_fetch(&seq, tokens, scope) && served.rounds < 100; ++served.rounds)
      for (int waits = 0; kv.is_fetching(seq); ++waits) {
        step();
        EXPECT_LT(waits, 1000) << "waits for ever";
        if (waits >= 1000) return served;
      }
    served.matched = kv.match(&seq, tokens, scope);
    served.loaded = kv.load_offloaded(&seq, tokens, scope) - served.matched;
    const auto size = static_cast<int32_t>(tokens.size());
    const bool fits = kv.reserve(&seq, served.matched + served.loaded, size);
    EXPECT_TRUE(fits);
    if (!fits) return served;
    const SeqKv* all[] = {&seq};
    kv.check(all);
    kv.cache_blocks(&seq, tokens, 0, size, scope);
    step();
    // What was found is there; the rest is computed now.
    uint64_t hash = scope.salt[0] + 1u;
    for (int32_t i = 0; i < size / kBlock; ++i) {
      for (int32_t t = i * kBlock; t < (i + 1) * kBlock; ++t)
        hash = SplitMix64(hash * 31 + static_cast<uint64_t>(tokens[static_cast<std::size_t>(t)])).next();
      for (std::size_t g = 0; g < groups_.size(); ++g) {
        const BlockId block = seq.groups[g].blocks[static_cast<std::size_t>(i)];
        uint64_t& content = contents_[g][static_cast<std::size_t>(block)];
        if (block == kNullBlock) continue;
        if (i >= (served.matched + served.loaded) / kBlock) content = hash;
        EXPECT_EQ(content, hash) << "block " << i << " of group " << g;
      }
    }
    kv.release(&seq);
    kv.check({});
    return served;
  }
  // A plan's moves.
  void step() {
    StepPlan plan;
    kv.take_moves(&plan.moves);
    offload.run_stores(plan);
    offload.run_loads(plan);
    offload.begin_background(plan);
    std::vector<OffloadMoveEnd> ended;
    offload.take_ended(&ended);
    kv.moves_ended(ended);
    kv.check();
  }

 private:
  const std::vector<KvGroupSpec> groups_;
  std::vector<std::vector<uint64_t>> contents_;

 public:
  KvManager kv;
  testing::FakeOffload offload;
};

std::vector<TokenId> prompt(int32_t begin, int32_t size) {
  std::vector<TokenId> tokens;
  for (int32_t i = 0; i < size; ++i) tokens.push_back(begin + i);
  return tokens;
}

TEST(Offload, EvictedBlocksComeBackFromMemory) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 0), {.num_slots = 16});
  EXPECT_EQ(harness.serve(prompt(0, 21)).matched, 0);
  EXPECT_EQ(harness.serve(prompt(1000, 21)).matched, 0);  // pushes the first one out
  const Harness::Served again = harness.serve(prompt(0, 21));
  EXPECT_EQ(again.matched, 0);
  EXPECT_EQ(again.loaded, 20);
  const OffloadStats stats = harness.kv.offload_stats();
  EXPECT_EQ(stats.num_loads, 5u);
  EXPECT_EQ(stats.load_bytes, 500u);
  EXPECT_EQ(stats.hit_tokens, 20u);
  EXPECT_GE(stats.num_stores, 5u);
  EXPECT_EQ(harness.offload.num_loads(), 5u);
}

TEST(Offload, TheLastTokenIsAlwaysComputed) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 0), {.num_slots = 16});
  harness.serve(prompt(0, 20));
  harness.serve(prompt(1000, 20));
  const Harness::Served again = harness.serve(prompt(0, 20));
  EXPECT_EQ(again.matched + again.loaded, 16);
}

TEST(Offload, ComesBackFromDisk) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 7, with_offload(8, 100),
                  {.num_slots = 8, .end_one_in = 1});
  for (int32_t begin : {0, 1000, 2000, 3000, 4000}) {
    harness.serve(prompt(begin, 25));
    for (int i = 0; i < 20; ++i) harness.step();  // what is stored goes to disk
  }
  const uint64_t hits_before = harness.kv.offload_stats().hit_tokens;
  const Harness::Served again = harness.serve(prompt(0, 25));
  EXPECT_EQ(again.rounds, 1);
  EXPECT_EQ(again.loaded, 20) << "some slots stay for others";
  EXPECT_EQ(harness.offload.num_fetched(), 5u);
  const OffloadStats stats = harness.kv.offload_stats();
  EXPECT_EQ(stats.hit_tokens - hits_before, 20u);
  EXPECT_EQ(stats.disk_hit_tokens, 20u);
}

TEST(Offload, AnothersContentIsNotFound) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 0), {.num_slots = 16});
  CacheScope mine, yours;
  mine.salt[0] = 1;
  yours.salt[0] = 2;
  harness.serve(prompt(0, 21), mine);
  harness.serve(prompt(1000, 21), mine);
  EXPECT_EQ(harness.serve(prompt(0, 21), yours).loaded, 0);
  EXPECT_EQ(harness.serve(prompt(0, 21), mine).loaded, 20);
}

TEST(Offload, ResetForgetsWhatIsOffloaded) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 100), {.num_slots = 16});
  harness.serve(prompt(0, 21));
  harness.serve(prompt(1000, 21));
  harness.kv.reset_prefix_cache();
  for (int i = 0; i < 100; ++i) harness.step();
  EXPECT_EQ(harness.serve(prompt(0, 21)).loaded, 0);
  EXPECT_EQ(harness.offload.num_files(),
            static_cast<std::size_t>(harness.kv.offload_stats().num_used_disk_slots));
}

TEST(Offload, UnfitContentIsForgotten) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 0), {.num_slots = 16});
  harness.serve(prompt(0, 21));
  harness.serve(prompt(1000, 21));
  SeqKv seq;
  ASSERT_EQ(harness.kv.load_offloaded(&seq, prompt(0, 21), {}), 20);
  harness.kv.uncache(seq);
  harness.step();
  harness.kv.release(&seq);
  harness.serve(prompt(2000, 21));
  EXPECT_EQ(harness.serve(prompt(0, 21)).loaded, 0);
}

// As where a window has given its blocks back.
TEST(Offload, UnfitContentIsForgottenThoughNoTableHoldsIt) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 0), {.num_slots = 16});
  harness.serve(prompt(0, 21));
  harness.serve(prompt(1000, 21));
  SeqKv seq;
  ASSERT_EQ(harness.kv.match(&seq, prompt(0, 21), {}), 0);
  harness.kv.uncache(seq);
  EXPECT_EQ(harness.serve(prompt(0, 21)).loaded, 0);
}

TEST(Offload, TooFewFreeBlocksLoadNothing) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 6, with_offload(16, 0), {.num_slots = 16});
  harness.serve(prompt(0, 21));
  harness.serve(prompt(1000, 21));
  SeqKv other, seq;
  ASSERT_TRUE(harness.kv.reserve(&other, 0, 2 * kBlock));
  EXPECT_EQ(harness.kv.load_offloaded(&seq, prompt(0, 21), {}), 0);
  EXPECT_EQ(harness.kv.num_held(seq), 0);
  EXPECT_EQ(harness.kv.load_offloaded(&seq, prompt(0, 17), {}), 16);
}

TEST(Offload, WindowedGroupsBringBackWhatIsSeen) {
  Harness harness({testing::full_group(kBlock, 100), testing::window_group(kBlock, 6, 100)}, 1 + 14,
                  with_offload(32, 0), {.num_slots = 32});
  harness.serve(prompt(0, 25));
  harness.serve(prompt(1000, 25));
  const Harness::Served again = harness.serve(prompt(0, 25));
  EXPECT_EQ(again.matched + again.loaded, 24);
  EXPECT_EQ(harness.offload.num_loads(), 6u + 2u);
}

TEST(Offload, ManyGroupsComeBack) {
  std::vector<KvGroupSpec> groups(20, testing::window_group(kBlock, 6, 100));
  groups.insert(groups.begin(), testing::full_group(kBlock, 100));
  Harness harness(groups, 1 + 7 * 21, with_offload(400, 0), {.num_slots = 400});
  harness.serve(prompt(0, 25));
  harness.serve(prompt(1000, 25));
  const Harness::Served again = harness.serve(prompt(0, 25));
  EXPECT_EQ(again.matched + again.loaded, 24);
  EXPECT_EQ(harness.offload.num_loads(), 6u + 20 * 2);
}

TEST(Offload, AdoptedFilesAreFound) {
  // The same root in both lives, as a folder keeps it.
  PrefixCacheConfig config = with_offload(16, 100);
  config.hash_seed = "seed";
  Harness first({testing::full_group(kBlock, 100)}, 1 + 6, config, {.num_slots = 16});
  SeqKv seq;
  const std::vector<TokenId> tokens = prompt(0, 21);
  first.kv.match(&seq, tokens, {});
  KvManager second({testing::full_group(kBlock, 100)}, 1 + 6, config);
  std::vector<OffloadFile> files;
  for (const BlockKey& key : seq.keys) files.push_back({key, 0});
  files.push_back({seq.keys[0], 5});  // of no group
  second.adopt_offload_files(files);
  EXPECT_EQ(second.offload_stats().num_used_disk_slots, 5);
  SeqKv again;
  EXPECT_TRUE(second.start_fetch(&again, tokens, {}));
  std::vector<OffloadMove> moves;
  second.take_moves(&moves);
  ASSERT_EQ(moves.size(), 5u);
  for (const OffloadMove& move : moves) {
    EXPECT_TRUE(second.is_fetching(again));
    const OffloadMoveEnd end{move.kind, move.group, move.slot, move.key, true};
    second.moves_ended({&end, 1});
  }
  EXPECT_FALSE(second.is_fetching(again));
  EXPECT_FALSE(second.start_fetch(&again, tokens, {}));
  EXPECT_EQ(second.load_offloaded(&again, tokens, {}), 20);
}

TEST(Offload, RoutersHearWhatHasComeBack) {
  PrefixCacheConfig config = with_offload(16, 0);
  config.record_events = true;
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 7, config, {.num_slots = 16});
  harness.serve(prompt(0, 25));
  harness.serve(prompt(1000, 25));
  SeqKv seq;
  const std::vector<TokenId> tokens = prompt(0, 25);
  std::vector<KvEvent> events;
  harness.kv.take_events(&events);
  events.clear();
  ASSERT_EQ(harness.kv.match(&seq, tokens, {}), 0);
  ASSERT_EQ(harness.kv.load_offloaded(&seq, tokens, {}), 24);
  harness.kv.take_events(&events);
  std::vector<BlockKey> stored;
  std::vector<TokenId> stored_tokens;
  for (const KvEvent& event : events) {
    if (event.kind != KvEvent::Kind::kStored) continue;
    stored.insert(stored.end(), event.keys.begin(), event.keys.end());
    stored_tokens.insert(stored_tokens.end(), event.tokens.begin(), event.tokens.end());
  }
  EXPECT_EQ(stored, seq.keys);
  EXPECT_EQ(stored_tokens, prompt(0, 24));
}

TEST(Offload, WhatIsCachedIsKeptAtTheEnd) {
  Harness harness({testing::full_group(kBlock, 100)}, 1 + 20, with_offload(4, 100), {.num_slots = 4});
  harness.serve(prompt(1000, 13));
  harness.serve(prompt(0, 25));
  harness.kv.flush_to_disk();
  for (int i = 0; i < 20; ++i) harness.step();
  EXPECT_EQ(harness.offload.num_files(), 4u) << "as many as there are slots, the last used first";
  Harness again({testing::full_group(kBlock, 100)}, 1 + 20, with_offload(4, 0), {.num_slots = 4});
  again.serve(prompt(0, 25));
  again.kv.flush_to_disk();
  EXPECT_EQ(again.kv.offload_stats().num_stores, 0u) << "without a disk nothing outlives the process";
}

// Many clients' prompts with common beginnings, a cache and offload memory too small for them, a slow disk
// that fails.
TEST(Offload, ContentIsNeverConfused) {
  int64_t loaded = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SplitMix64 random(seed);
    std::vector<KvGroupSpec> groups = {testing::full_group(kBlock, 100)};
    if (seed % 3 == 1) groups.push_back(testing::window_group(kBlock, 6, 100));
    if (seed % 3 == 2) groups = {testing::window_group(kBlock, 7, 100)};
    const auto slots = static_cast<int32_t>(1 + random.next() % 12);
    const auto disk = static_cast<int64_t>(random.next() % 3 * 10);
    Harness harness(
        groups, 1 + 24, with_offload(slots, disk),
        {.num_slots = slots, .end_one_in = 1 + seed % 3, .fail_one_in = seed % 4 * 3, .seed = seed});
    for (int i = 0; i < 300; ++i) {
      std::vector<TokenId> tokens = prompt(static_cast<int32_t>(random.next() % 4) * 1000,
                                           static_cast<int32_t>(4 + random.next() % 20));
      const std::vector<TokenId> tail =
          prompt(static_cast<int32_t>(random.next() % 3) * 50, static_cast<int32_t>(1 + random.next() % 20));
      tokens.insert(tokens.end(), tail.begin(), tail.end());
      CacheScope scope;
      scope.salt[0] = static_cast<uint8_t>(random.next() % 2);
      loaded += harness.serve(tokens, scope).loaded;
      if (random.next() % 100 == 0) harness.kv.reset_prefix_cache();
      if (HasFailure()) FAIL() << "seed " << seed << ", request " << i;
    }
  }
  EXPECT_GT(loaded, 5000);
}

}  // namespace
}  // namespace pagoda
