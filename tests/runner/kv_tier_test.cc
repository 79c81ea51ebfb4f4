#include "runner/kv_tier.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "runner/kv_storage.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

constexpr int32_t kBlockSize = 4, kNumBlocks = 10, kNumSlots = 5;
constexpr DType kKvDTypes[] = {DType::kF32, DType::kBF16, DType::kF16, DType::kI8, DType::kF8E4M3};

// Three layers of two kinds: all, window, all.
ModelConfig model_config() {
  ModelConfig config;
  config.attention.num_heads = 4;
  config.attention.num_kv_heads = 2;
  config.attention.head_dim = 8;
  config.layers.resize(3);
  config.layers[1].window = 16;
  return config;
}
constexpr int32_t kWindows[] = {0, 16};

std::size_t bytes_of(const KvLayerView& layer) {
  return kv_block_bytes(layer.dtype, layer.num_kv_heads, layer.head_dim, layer.block_size);
}
std::string block_of(const KvStorage& storage, std::size_t layer, BlockId block) {
  const KvLayerView& view = storage.layers()[layer];
  const std::size_t bytes = bytes_of(view);
  return {static_cast<const char*>(view.data) + static_cast<std::size_t>(block) * bytes, bytes};
}

struct House {
  explicit House(DType dtype, std::unique_ptr<KvFolder> folder = nullptr)
      : storage(KvStorage::allocate(config, dtype, kBlockSize, kNumBlocks).value()),
        tier(KvTier::create(config, kWindows, storage.layers(), kNumSlots, std::move(folder)).value()) {
    SplitMix64 random(static_cast<uint64_t>(dtype));
    for (const KvLayerView& layer : storage.layers())
      for (std::size_t i = 0; i < bytes_of(layer) * kNumBlocks; ++i)
        static_cast<uint8_t*>(layer.data)[i] = static_cast<uint8_t>(random.next());
  }
  std::vector<TierMoveDone> run(const std::vector<TierMove>& moves, bool idle = false) {
    StepResult result;
    tier->store(moves, pool);
    tier->load(moves, pool);
    tier->finish(moves, idle, &result);
    return result.moves_done;
  }
  std::vector<TierMoveDone> run_to_the_end(const TierMove& move) {
    std::vector<TierMoveDone> done = run({move}, true);
    const TierMove wait{TierMoveKind::kWait, 0, kNullBlock, -1, {}};
    for (int i = 0; i < 500 && done.empty(); ++i) done = run({wait}, true);
    return done;
  }

  const ModelConfig config = model_config();
  ComputePool pool{2};
  KvStorage storage;
  std::unique_ptr<KvTier> tier;
};

TierMove store(int32_t group, BlockId block, int32_t slot) {
  return {TierMoveKind::kStore, group, block, slot, {}};
}
TierMove load(int32_t group, BlockId block, int32_t slot) {
  return {TierMoveKind::kLoad, group, block, slot, {}};
}

TEST(KvTier, BlocksComeBackAsTheyWere) {
  for (DType dtype : kKvDTypes) {
    House house(dtype);
    std::vector<std::string> before[3];
    for (std::size_t layer : {0, 1, 2})
      for (BlockId block = 0; block < kNumBlocks; ++block)
        before[layer].push_back(block_of(house.storage, layer, block));
    // Stores come first wherever they stand; a slot may be filled twice.
    EXPECT_TRUE(house
                    .run({load(0, 5, 1), store(0, 3, 1), store(1, 4, 2), store(0, 7, 0), load(1, 6, 2),
                          load(1, 8, 2), store(0, 9, 0), load(0, 1, 0)})
                    .empty());
    const BlockId from[3][kNumBlocks] = {
        {0, 9, 2, 3, 4, 3, 6, 7, 8, 9}, {0, 1, 2, 3, 4, 5, 4, 7, 4, 9}, {0, 9, 2, 3, 4, 3, 6, 7, 8, 9}};
    for (std::size_t layer : {0, 1, 2})
      for (BlockId block = 0; block < kNumBlocks; ++block)
        EXPECT_EQ(block_of(house.storage, layer, block),
                  before[layer][static_cast<std::size_t>(from[layer][block])])
            << dtype_name(dtype) << ", layer " << layer << ", block " << block;
  }
}

// So much that the threads share it.
TEST(KvTier, ManyBlocksAtOnce) {
  House house(DType::kF32);
  const std::string before = block_of(house.storage, 0, 3);
  std::vector<TierMove> moves;
  while (moves.size() * before.size() < 4 << 20) {
    for (int32_t slot = 0; slot < kNumSlots; ++slot) moves.push_back(store(0, 3 + slot, slot));
    for (int32_t slot = 0; slot < kNumSlots; ++slot) moves.push_back(load(0, 7 - slot, slot));
  }
  std::vector<std::string> expected;
  for (BlockId block = 7; block >= 3; --block) expected.push_back(block_of(house.storage, 2, block));
  house.run(moves);
  for (BlockId block = 3; block <= 7; ++block)
    EXPECT_EQ(block_of(house.storage, 2, block), expected[static_cast<std::size_t>(block - 3)]) << block;
  EXPECT_EQ(block_of(house.storage, 0, 7), before);
}

TEST(KvTier, BlocksComeBackFromDiskAsTheyWere) {
  testing::TempDir dir;
  for (DType dtype : kKvDTypes) {
    const uint64_t bytes = kv_block_bytes(dtype, 2, 8, kBlockSize);
    auto folder = KvFolder::open(
        {dir.path(), {static_cast<uint64_t>(dtype), static_cast<uint64_t>(dtype)}, {2 * bytes, bytes}, 9});
    ASSERT_TRUE(folder.ok()) << folder.status().message();
    House house(dtype, *std::move(folder));
    BlockKey key;
    key.bytes[3] = 3;
    for (int32_t group : {0, 1}) {
      house.run({store(group, 3, 1)});
      std::vector<TierMoveDone> done =
          house.run_to_the_end({TierMoveKind::kSpill, group, kNullBlock, 1, key});
      ASSERT_EQ(done.size(), 1u);
      EXPECT_TRUE(done[0].ok);
      done = house.run_to_the_end({TierMoveKind::kFetch, group, kNullBlock, 4, key});
      ASSERT_EQ(done.size(), 1u);
      EXPECT_TRUE(done[0].ok);
      house.run({load(group, 8, 4)});
    }
    for (std::size_t layer : {0, 1, 2})
      EXPECT_EQ(block_of(house.storage, layer, 8), block_of(house.storage, layer, 3)) << dtype_name(dtype);
    EXPECT_NE(block_of(house.storage, 0, 8), block_of(house.storage, 0, 7));
  }
}

}  // namespace
}  // namespace pagoda
