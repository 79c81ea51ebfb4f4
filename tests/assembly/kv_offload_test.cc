#include "assembly/kv_offload.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/testing/kv_specs.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

const std::vector<KvGroupSpec> kGroups = {testing::full_group(16, 4096), testing::window_group(16, 64, 4096)};

struct Opened {
  Result<OpenedOffload> offload;
  PrefixCacheConfig cache;
};

Opened open(const KvOffloadArgs& wanted, const KvIdentity& identity) {
  PrefixCacheConfig cache;
  CpuPlan cpus;
  cpus.num_threads = 1;
  Result<OpenedOffload> offload = open_offload(wanted, "", identity, kGroups, cpus, &cache);
  return {std::move(offload), cache};
}

struct Tiny {
  Tiny() {
    model.layers.resize(1);
    model.layers[0].attention = {.num_heads = 2, .num_kv_heads = 2, .head_dim = 8};
    identity.config = "{}";
    identity.model = &model;
    identity.formats = {2, unquantized(DType::kF32)};
  }
  ModelConfig model;
  KvIdentity identity;
};

std::size_t num_folders(const std::string& path) {
  std::size_t num = 0;
  for (const auto& entry : std::filesystem::directory_iterator(path)) num += entry.is_directory();
  return num;
}

TEST(KvOffload, SlotsArePages) {
  Tiny tiny;
  Opened none = open({}, tiny.identity);
  ASSERT_TRUE(none.offload.ok());
  EXPECT_EQ(none.cache.offload_slots, 0);
  EXPECT_EQ(none.offload->config.num_slots, 0);
  Opened memory = open({.memory_gib = 0.001}, tiny.identity);
  ASSERT_TRUE(memory.offload.ok());
  EXPECT_EQ(memory.cache.offload_slots, static_cast<int32_t>(0.001 * (1 << 30) / 4096));
  EXPECT_EQ(memory.offload->config.num_slots, memory.cache.offload_slots);
  EXPECT_EQ(memory.cache.offload_disk_slots, 0);
  EXPECT_EQ(memory.cache.hash_seed, "");
  Opened small = open({.memory_gib = 1e-9}, tiny.identity);
  ASSERT_FALSE(small.offload.ok());
  EXPECT_NE(small.offload.status().message().find("4096 bytes"), std::string::npos);
}

TEST(KvOffload, AFolderKeepsTheSeed) {
  testing::TempDir dir;
  Tiny tiny;
  const KvOffloadArgs wanted{.memory_gib = 0.001, .path = dir.file("kv")};
  std::string seed;
  {
    Opened first = open(wanted, tiny.identity);
    ASSERT_TRUE(first.offload.ok()) << first.offload.status().message();
    EXPECT_GT(first.cache.offload_disk_slots, 3 * first.cache.offload_slots) << "four times the memory";
    seed = first.cache.hash_seed;
    EXPECT_EQ(seed.size(), 64u);
    EXPECT_FALSE(open(wanted, tiny.identity).offload.ok()) << "one at a time";
  }
  EXPECT_EQ(open(wanted, tiny.identity).cache.hash_seed, seed);
  EXPECT_EQ(num_folders(wanted.path), 1u);
}

TEST(KvOffload, WhateverChangesABlockHasItsOwnFolder) {
  testing::TempDir dir;
  Tiny tiny;
  const KvOffloadArgs wanted{.memory_gib = 0.001, .path = dir.path()};
  const KvIdentity& plain = tiny.identity;
  std::vector<KvIdentity> all(6, plain);
  all[1].config = "{ }";
  all[2].kv_dtype = DType::kBF16;
  all[3].block_size = 32;
  all[4].formats[0] = *quantized_format("int8");
  all[5].formats[1] = *quantized_format("int4");
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_TRUE(open(wanted, all[i]).offload.ok());
    EXPECT_EQ(num_folders(dir.path()), i + 1);
  }
  ASSERT_TRUE(open(wanted, plain).offload.ok());
  EXPECT_EQ(num_folders(dir.path()), all.size());
}

}  // namespace
}  // namespace pagoda
