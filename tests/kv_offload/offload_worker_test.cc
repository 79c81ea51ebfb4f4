#include "kv_offload/offload_worker.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

constexpr int32_t kNumBlocks = 10, kNumSlots = 5;
// Three layers of two groups; blocks that no cache line divides.
constexpr int32_t kGroups[] = {0, 1, 0};
constexpr std::size_t kLayerBytes[] = {1280, 100, 1280}, kGroupBytes[] = {2560, 100};

struct House {
  explicit House(std::unique_ptr<OffloadDisk> disk = nullptr) {
    SplitMix64 random(1);
    std::vector<OffloadRegion> regions;
    for (std::size_t layer : {0, 1, 2}) {
      cache[layer].resize(kLayerBytes[layer] * kNumBlocks);
      for (std::byte& byte : cache[layer]) byte = static_cast<std::byte>(random.next());
      regions.push_back({cache[layer].data(), kLayerBytes[layer], kGroups[layer]});
    }
    worker = OffloadWorker::create(regions, {kNumSlots, std::move(disk)}).value();
  }
  std::string block(std::size_t layer, BlockId block) const {
    const std::size_t bytes = kLayerBytes[layer];
    return {reinterpret_cast<const char*>(cache[layer].data()) + static_cast<std::size_t>(block) * bytes,
            bytes};
  }
  std::vector<OffloadMoveDone> run(const std::vector<OffloadMove>& moves, bool idle = false) {
    StepResult result;
    worker->store(moves, pool);
    worker->load(moves, pool);
    worker->finish(moves, idle, &result);
    return result.moves_done;
  }
  std::vector<OffloadMoveDone> run_to_the_end(const OffloadMove& move) {
    std::vector<OffloadMoveDone> done = run({move}, true);
    const OffloadMove wait{OffloadMoveKind::kWait, 0, kNullBlock, -1, {}};
    for (int i = 0; i < 500 && done.empty(); ++i) done = run({wait}, true);
    return done;
  }

  ComputePool pool{2};
  std::vector<std::byte> cache[3];
  std::unique_ptr<OffloadWorker> worker;
};

OffloadMove store(int32_t group, BlockId block, int32_t slot) {
  return {OffloadMoveKind::kStore, group, block, slot, {}};
}
OffloadMove load(int32_t group, BlockId block, int32_t slot) {
  return {OffloadMoveKind::kLoad, group, block, slot, {}};
}

TEST(OffloadWorker, BlocksComeBackAsTheyWere) {
  House house;
  std::vector<std::string> before[3];
  for (std::size_t layer : {0, 1, 2})
    for (BlockId block = 0; block < kNumBlocks; ++block) before[layer].push_back(house.block(layer, block));
  // Stores come first wherever they stand; a slot may be filled twice.
  EXPECT_TRUE(house
                  .run({load(0, 5, 1), store(0, 3, 1), store(1, 4, 2), store(0, 7, 0), load(1, 6, 2),
                        load(1, 8, 2), store(0, 9, 0), load(0, 1, 0)})
                  .empty());
  const BlockId from[3][kNumBlocks] = {
      {0, 9, 2, 3, 4, 3, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5, 4, 7, 4, 9}, {0, 9, 2, 3, 4, 3, 6, 7, 8, 9}};
  for (std::size_t layer : {0, 1, 2})
    for (BlockId block = 0; block < kNumBlocks; ++block)
      EXPECT_EQ(house.block(layer, block), before[layer][static_cast<std::size_t>(from[layer][block])])
          << "layer " << layer << ", block " << block;
}

// So much that the threads share it.
TEST(OffloadWorker, ManyBlocksAtOnce) {
  House house;
  const std::string before = house.block(0, 3);
  std::vector<OffloadMove> moves;
  while (moves.size() * before.size() < 4 << 20) {
    for (int32_t slot = 0; slot < kNumSlots; ++slot) moves.push_back(store(0, 3 + slot, slot));
    for (int32_t slot = 0; slot < kNumSlots; ++slot) moves.push_back(load(0, 7 - slot, slot));
  }
  std::vector<std::string> expected;
  for (BlockId block = 7; block >= 3; --block) expected.push_back(house.block(2, block));
  house.run(moves);
  for (BlockId block = 3; block <= 7; ++block)
    EXPECT_EQ(house.block(2, block), expected[static_cast<std::size_t>(block - 3)]) << block;
  EXPECT_EQ(house.block(0, 7), before);
}

TEST(OffloadWorker, BlocksComeBackFromDiskAsTheyWere) {
  testing::TempDir dir;
  auto disk = OffloadDisk::open({dir.path(), {1, 2}, {kGroupBytes[0], kGroupBytes[1]}, 9});
  ASSERT_TRUE(disk.ok()) << disk.status().message();
  House house(*std::move(disk));
  BlockKey key;
  key.bytes[3] = 3;
  for (int32_t group : {0, 1}) {
    house.run({store(group, 3, 1)});
    std::vector<OffloadMoveDone> done =
        house.run_to_the_end({OffloadMoveKind::kSpill, group, kNullBlock, 1, key});
    ASSERT_EQ(done.size(), 1u);
    EXPECT_TRUE(done[0].ok);
    done = house.run_to_the_end({OffloadMoveKind::kFetch, group, kNullBlock, 4, key});
    ASSERT_EQ(done.size(), 1u);
    EXPECT_TRUE(done[0].ok);
    house.run({load(group, 8, 4)});
  }
  for (std::size_t layer : {0, 1, 2}) EXPECT_EQ(house.block(layer, 8), house.block(layer, 3)) << layer;
  EXPECT_NE(house.block(0, 8), house.block(0, 7));
}

}  // namespace
}  // namespace pagoda
