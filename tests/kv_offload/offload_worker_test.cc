#include "kv_offload/offload_worker.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

#include "base/rng.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

constexpr int32_t kNumBlocks = 10, kNumSlots = 5;
constexpr std::size_t kPageBytes = 10308;  // that no cache line divides

struct Harness {
  explicit Harness(std::unique_ptr<OffloadDisk> disk = nullptr) : cache(kPageBytes * kNumBlocks) {
    SplitMix64 random(1);
    for (std::byte& byte : cache) byte = static_cast<std::byte>(random.next());
    memory = DeviceBuffer::copy_of(cpu_memory(), cache);
    worker = OffloadWorker::create({&memory, kPageBytes, kNumBlocks}, {kNumSlots, std::move(disk)}).value();
  }
  std::string page(BlockId block) const {
    std::string bytes(kPageBytes, 0);
    memory.copy_to_host(static_cast<std::size_t>(block) * kPageBytes,
                        std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }
  void run(const std::vector<OffloadMove>& moves) {
    worker->store(moves, pool);
    worker->load(moves, pool);
    worker->begin(moves);
  }
  std::vector<OffloadMoveEnd> run_to_the_end(const OffloadMove& move) {
    run({move});
    std::vector<OffloadMoveEnd> ended;
    for (int i = 0; i < 10000 && ended.empty(); ++i) {
      worker->take_ended(&ended);
      if (ended.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return ended;
  }

  ComputePool pool{2};
  std::vector<std::byte> cache;
  DeviceBuffer memory;  // at first the same
  std::unique_ptr<OffloadWorker> worker;
};

OffloadMove store(int32_t group, BlockId block, int32_t slot) {
  return {OffloadMoveKind::kStore, group, block, slot, {}};
}
OffloadMove load(int32_t group, BlockId block, int32_t slot) {
  return {OffloadMoveKind::kLoad, group, block, slot, {}};
}

TEST(OffloadWorker, PagesComeBackAsTheyWere) {
  Harness harness;
  std::vector<std::string> before;
  for (BlockId block = 0; block < kNumBlocks; ++block) before.push_back(harness.page(block));
  // Stores come first wherever they stand; a slot may be filled twice, and by any group.
  harness.run({load(0, 5, 1), store(0, 3, 1), store(1, 4, 2), store(0, 7, 0), load(1, 6, 2), load(1, 8, 2),
               store(1, 9, 0), load(1, 1, 0)});
  const BlockId from[kNumBlocks] = {0, 9, 2, 3, 4, 3, 4, 7, 4, 9};
  for (BlockId block = 0; block < kNumBlocks; ++block)
    EXPECT_EQ(harness.page(block), before[static_cast<std::size_t>(from[block])]) << "block " << block;
}

// So much that the threads share it.
TEST(OffloadWorker, ManyBlocksAtOnce) {
  Harness harness;
  std::vector<OffloadMove> moves;
  while (moves.size() * kPageBytes < 4 << 20) {
    for (int32_t slot = 0; slot < kNumSlots; ++slot) moves.push_back(store(0, 3 + slot, slot));
    for (int32_t slot = 0; slot < kNumSlots; ++slot) moves.push_back(load(0, 7 - slot, slot));
  }
  std::vector<std::string> expected;
  for (BlockId block = 7; block >= 3; --block) expected.push_back(harness.page(block));
  harness.run(moves);
  for (BlockId block = 3; block <= 7; ++block)
    EXPECT_EQ(harness.page(block), expected[static_cast<std::size_t>(block - 3)]) << block;
}

TEST(OffloadWorker, BlocksComeBackFromDiskAsTheyWere) {
  testing::TempDir dir;
  auto disk = OffloadDisk::open({dir.path(), {1, 2}, kPageBytes, 2, 9});
  ASSERT_TRUE(disk.ok()) << disk.status().message();
  Harness harness(*std::move(disk));
  BlockKey key;
  key.bytes[3] = 3;
  for (int32_t group : {0, 1}) {
    harness.run({store(group, 3, 1)});
    std::vector<OffloadMoveEnd> ended =
        harness.run_to_the_end({OffloadMoveKind::kSpill, group, kNullBlock, 1, key});
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_TRUE(ended[0].ok);
    ended = harness.run_to_the_end({OffloadMoveKind::kFetch, group, kNullBlock, 4, key});
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_TRUE(ended[0].ok);
    harness.run({load(group, 8 + group, 4)});
    EXPECT_EQ(harness.page(8 + group), harness.page(3)) << group;
  }
  EXPECT_NE(harness.page(8), harness.page(7));
}

}  // namespace
}  // namespace pagoda
