#include "model/tensor_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pagoda {
namespace {

using ::testing::ElementsAre;

// Two layers of 4 heads, 2 KV heads of 8 dims, 32 wide.
ModelSpec small_spec() {
  ModelSpec spec;
  spec.config.vocab_size = 100;
  spec.config.hidden_size = 32;
  spec.config.layers.resize(2);
  for (LayerConfig& layer : spec.config.layers) {
    layer.attention = {.num_heads = 4, .num_kv_heads = 2, .head_dim = 8};
    layer.mlp.intermediate_size = 48;
  }
  return spec;
}

std::vector<std::string> names_of(const std::vector<StoredShape>& stored) {
  std::vector<std::string> names;
  for (const StoredShape& tensor : stored) names.push_back(tensor.name);
  return names;
}

TEST(TensorList, NamesShapesAndShards) {
  const std::vector<TensorSpec> list = tensor_list(small_spec());
  EXPECT_THAT(
      names_of(stored_shapes(layer_tensors(list, 1))),
      ElementsAre("model.layers.1.input_layernorm.weight", "model.layers.1.self_attn.q_proj.weight",
                  "model.layers.1.self_attn.k_proj.weight", "model.layers.1.self_attn.v_proj.weight",
                  "model.layers.1.self_attn.o_proj.weight", "model.layers.1.post_attention_layernorm.weight",
                  "model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight",
                  "model.layers.1.mlp.down_proj.weight"));
  EXPECT_EQ(list.front().role, TensorRole::kEmbedding);
  EXPECT_EQ(list.back().sources[0].name, "lm_head.weight");
  EXPECT_EQ(find_tensor(list, TensorRole::kFinalNorm)->shape, std::vector<int64_t>{32});
  const auto layer = layer_tensors(list, 0);
  EXPECT_EQ(find_tensor(layer, TensorRole::kKey)->shape, (std::vector<int64_t>{16, 32}));
  EXPECT_EQ(find_tensor(layer, TensorRole::kQuery, -1, true), nullptr);
  // A projection's outputs are shared by rows where the next one's inputs are shared by columns.
  EXPECT_EQ(find_tensor(layer, TensorRole::kQuery)->shard, Shard::kRows);
  EXPECT_EQ(find_tensor(layer, TensorRole::kValue)->shard, Shard::kKvHeadRows);
  EXPECT_EQ(find_tensor(layer, TensorRole::kOutput)->shard, Shard::kColumns);
  EXPECT_EQ(find_tensor(layer, TensorRole::kUp)->shard, Shard::kRows);
  EXPECT_EQ(find_tensor(layer, TensorRole::kDown)->shard, Shard::kColumns);
  EXPECT_EQ(find_tensor(layer, TensorRole::kPreMlpNorm)->shard, Shard::kReplicated);
}

TEST(TensorList, LayersMayDiffer) {
  ModelSpec spec = small_spec();
  spec.config.layers[1].attention = {.num_heads = 2, .num_kv_heads = 1, .head_dim = 16, .o_bias = true};
  spec.config.layers[1].mlp = {.intermediate_size = 8, .has_bias = true};
  const std::vector<TensorSpec> list = tensor_list(spec);
  const auto first = layer_tensors(list, 0), second = layer_tensors(list, 1);
  EXPECT_EQ(second.size(), first.size() + 4);
  EXPECT_EQ(find_tensor(second, TensorRole::kKey)->shape, (std::vector<int64_t>{16, 32}));
  EXPECT_EQ(find_tensor(second, TensorRole::kDown)->shape, (std::vector<int64_t>{32, 8}));
  const TensorSpec* bias = find_tensor(second, TensorRole::kOutput, -1, true);
  ASSERT_NE(bias, nullptr);
  EXPECT_EQ(bias->sources[0].name, "model.layers.1.self_attn.o_proj.bias");
  EXPECT_EQ(bias->shape, std::vector<int64_t>{32});
  EXPECT_EQ(bias->shard, Shard::kReplicated);
  EXPECT_EQ(find_tensor(second, TensorRole::kGate, -1, true)->shard, Shard::kRows);
}

TEST(TensorList, RolesThatShareANameAreSlicesOfOneTensor) {
  ModelSpec spec = small_spec();
  for (TensorRole role : {TensorRole::kQuery, TensorRole::kKey, TensorRole::kValue})
    spec.names[role] = "h.{layer}.qkv";
  spec.config.layers[0].attention.qkv_bias = true;
  const std::vector<TensorSpec> list = tensor_list(spec);
  const auto layer = layer_tensors(list, 0);
  for (bool is_bias : {false, true}) {
    const TensorSource& q = find_tensor(layer, TensorRole::kQuery, -1, is_bias)->sources[0];
    const TensorSource& v = find_tensor(layer, TensorRole::kValue, -1, is_bias)->sources[0];
    EXPECT_EQ(v.name, is_bias ? "h.0.qkv.bias" : "h.0.qkv.weight");
    EXPECT_EQ(q.row_begin, 0);
    EXPECT_EQ(q.num_rows, 32);
    EXPECT_EQ(v.row_begin, 48);
    EXPECT_EQ(v.num_rows, 16);
  }
  const std::vector<StoredShape> stored = stored_shapes(layer);
  EXPECT_EQ(stored[1].name, "h.0.qkv.weight");
  EXPECT_EQ(stored[1].shape, (std::vector<int64_t>{64, 32}));
  EXPECT_EQ(stored[2].name, "h.0.qkv.bias");
  EXPECT_EQ(stored[2].shape, std::vector<int64_t>{64});
}

TEST(TensorList, ExpertsHaveTensorsOfTheirOwnBehindARouter) {
  ModelSpec spec = small_spec();
  spec.config.layers[1].mlp.num_experts = 3;
  for (TensorRole role : {TensorRole::kGate, TensorRole::kUp, TensorRole::kDown})
    spec.names[role] = "l{layer}.e{expert}." + std::to_string(static_cast<int>(role));
  const std::vector<TensorSpec> list = tensor_list(spec);
  const auto dense = layer_tensors(list, 0), mixture = layer_tensors(list, 1);
  EXPECT_EQ(mixture.size(), dense.size() + 1 + 2 * 3);
  EXPECT_EQ(find_tensor(dense, TensorRole::kRouter), nullptr);
  const TensorSpec* router = find_tensor(mixture, TensorRole::kRouter);
  ASSERT_NE(router, nullptr);
  EXPECT_EQ(router->shape, (std::vector<int64_t>{3, 32}));
  EXPECT_EQ(router->shard, Shard::kReplicated);
  EXPECT_EQ(find_tensor(mixture, TensorRole::kUp), nullptr);
  for (int32_t expert = 0; expert < 3; ++expert) {
    const TensorSpec* up = find_tensor(mixture, TensorRole::kUp, expert);
    ASSERT_NE(up, nullptr);
    EXPECT_EQ(up->shape, (std::vector<int64_t>{48, 32}));
    EXPECT_THAT(up->sources[0].name, ::testing::StartsWith("l1.e" + std::to_string(expert) + "."));
    EXPECT_EQ(up->sources[0].num_rows, 0);
  }
}

TEST(TensorList, NormsOfHeadsAndOfASandwich) {
  ModelSpec spec = small_spec();
  spec.config.layers[0].attention.qk_norm = QkNorm::kHead;
  spec.config.layers[1].norms.placement = NormPlacement::kSandwich;
  spec.config.layers[1].attention.qk_norm = QkNorm::kRow;
  spec.names[TensorRole::kPreMlpNorm] = "pre{layer}";
  const std::vector<TensorSpec> list = tensor_list(spec);
  const auto first = layer_tensors(list, 0), second = layer_tensors(list, 1);
  EXPECT_EQ(find_tensor(first, TensorRole::kKeyNorm)->shape, std::vector<int64_t>{8});
  EXPECT_EQ(find_tensor(second, TensorRole::kQueryNorm)->shape, std::vector<int64_t>{32});
  EXPECT_EQ(find_tensor(second, TensorRole::kKeyNorm)->shape, std::vector<int64_t>{16});
  EXPECT_EQ(find_tensor(first, TensorRole::kPostMlpNorm), nullptr);
  EXPECT_EQ(find_tensor(second, TensorRole::kPostMlpNorm)->shape, std::vector<int64_t>{32});
  EXPECT_EQ(find_tensor(second, TensorRole::kPostAttentionNorm)->sources[0].name,
            "model.layers.1.post_attention_layernorm.weight");
  EXPECT_EQ(find_tensor(second, TensorRole::kPreMlpNorm)->sources[0].name, "pre1.weight");

  spec.config.layers[1].norms.placement = NormPlacement::kPost;
  spec.config.layers[1].attention.qk_norm = QkNorm::kNone;
  const std::vector<TensorSpec> without = tensor_list(spec);
  const auto post = layer_tensors(without, 1);
  EXPECT_EQ(find_tensor(post, TensorRole::kQueryNorm), nullptr);
  EXPECT_EQ(find_tensor(post, TensorRole::kPreAttentionNorm), nullptr);
  EXPECT_EQ(find_tensor(post, TensorRole::kPreMlpNorm), nullptr);
  EXPECT_NE(find_tensor(post, TensorRole::kPostMlpNorm), nullptr);
}

TEST(TensorList, ATiedHeadMayBeStoredAndCountsForNothing) {
  ModelSpec spec = small_spec();
  const int64_t untied = num_parameters(tensor_list(spec));
  EXPECT_EQ(untied, 2 * 100 * 32 + 32 + 2 * (2 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32));
  spec.config.tied_head = true;
  const std::vector<TensorSpec> list = tensor_list(spec);
  EXPECT_TRUE(list.back().optional);
  EXPECT_TRUE(stored_shapes(list).back().optional);
  EXPECT_EQ(num_parameters(list), untied - 100 * 32);
}

}  // namespace
}  // namespace pagoda
