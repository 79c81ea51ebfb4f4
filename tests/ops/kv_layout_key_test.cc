#include "ops/kv_layout_key.h"

#include <gtest/gtest.h>

#include "ops/cpu/cpu_stream.h"

namespace pagoda {
namespace {

TEST(KvLayoutKey, EveryPartOfTheLayoutChangesIt) {
  ComputePool pool(1);
  CpuStream stream(&pool);
  const KvLayout plain{DType::kF32, 2, 8, 8, 16};
  std::vector<KvLayout> all(5, plain);
  all[1].dtype = DType::kF16;
  all[2].num_kv_heads = 1;
  all[3].k_dim = all[3].v_dim = 16;
  all[4].block_size = 32;
  std::vector<Hash128> keys;
  for (const KvLayout& layer : all) keys.push_back(kv_layout_key(layer, stream));
  for (std::size_t i = 0; i < keys.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]) << i << " " << j;
  EXPECT_EQ(kv_layout_key(plain, stream), keys[0]) << "the same in every process";
}

}  // namespace
}  // namespace pagoda
