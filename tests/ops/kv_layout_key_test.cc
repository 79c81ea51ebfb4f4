#include "ops/kv_layout_key.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(KvLayoutKey, EveryPartOfTheLayoutChangesIt) {
  ComputePool pool(1);
  ComputeStream stream(&pool);
  const KvLayerView plain{.dtype = DType::kF32, .num_kv_heads = 2, .head_dim = 8, .block_size = 16};
  std::vector<KvLayerView> all(5, plain);
  all[1].dtype = DType::kF16;
  all[2].num_kv_heads = 1;
  all[3].head_dim = 16;
  all[4].block_size = 32;
  std::vector<Hash128> keys;
  for (const KvLayerView& layer : all) keys.push_back(kv_layout_key(layer, stream));
  for (std::size_t i = 0; i < keys.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(keys[i], keys[j]) << i << " " << j;
  EXPECT_EQ(kv_layout_key(plain, stream), keys[0]) << "the same in every process";
}

}  // namespace
}  // namespace pagoda
