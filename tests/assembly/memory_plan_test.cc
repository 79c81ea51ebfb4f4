#include "assembly/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "decoder/decoder.h"
#include "model/registry.h"
#include "ops/cpu/cpu_stream.h"
#include "runner/kv_storage.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/tiny_model.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kMiB = 1ull << 20;

MemoryRequest request() {
  MemoryRequest r;
  r.usable_bytes = 1024 * kMiB;
  r.utilization = 0.5;
  r.weight_bytes = 100 * kMiB;
  r.activation_bytes = 12 * kMiB;
  r.max_model_len = 1600;
  r.max_num_seqs = 1000;
  r.max_num_batched_tokens = 512;
  r.groups = {testing::full_group(16, kMiB)};
  return r;
}

TEST(MemoryPlan, FillsWhatIsLeft) {
  auto plan = plan_memory(request());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->num_blocks, 400);  // 512 - 112 MiB
  EXPECT_EQ(plan->kv_bytes, 400 * kMiB);
  EXPECT_DOUBLE_EQ(plan->max_concurrency, 3.99);
}

TEST(MemoryPlan, TakesNoMoreThanCanBeUsed) {
  MemoryRequest r = request();
  r.max_num_seqs = 2;
  EXPECT_EQ(plan_memory(r)->num_blocks, 201);
  r.keeps_unused = true;  // more prefixes fit
  EXPECT_EQ(plan_memory(r)->num_blocks, 400);
}

TEST(MemoryPlan, WhatTheOperatorSaysCounts) {
  MemoryRequest r = request();
  r.max_num_seqs = 1;
  r.kv_cache_bytes = 300 * kMiB + 5;
  EXPECT_EQ(plan_memory(r)->num_blocks, 300);
  r.num_blocks_override = 111;
  EXPECT_EQ(plan_memory(r)->num_blocks, 111);
}

TEST(MemoryPlan, RefusesWhenOneRequestDoesNotFit) {
  MemoryRequest r = request();
  r.kv_cache_bytes = 51 * kMiB;
  auto plan = plan_memory(r);
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.status().message(),
              AllOf(HasSubstr("max_model_len 1600"), HasSubstr("101.0 MiB are needed"),
                    HasSubstr("51.0 MiB are available"), HasSubstr("longest that would fit is 800"),
                    HasSubstr("a greater --kv-cache-memory-bytes (now 53477376)")));
  r.max_model_len = 800;
  EXPECT_TRUE(plan_memory(r).ok());
  r.max_model_len = 801;
  EXPECT_FALSE(plan_memory(r).ok());
  r = request();
  r.weight_bytes = 600 * kMiB;
  EXPECT_THAT(plan_memory(r).status().message(), HasSubstr("not even one block fits"));
  r = request();
  r.num_blocks_override = 100;  // one short: the null block holds nothing
  EXPECT_THAT(plan_memory(r).status().message(), HasSubstr("--num-gpu-blocks-override (now 100)"));
  r.num_blocks_override = 101;
  EXPECT_TRUE(plan_memory(r).ok());
}

// A shorter length leaves more for the cache: the one that the error names is the longest.
TEST(MemoryPlan, NamesTheGreatestLengthThatFits) {
  for (uint64_t position_bytes : {uint64_t{0}, kMiB / 7}) {
    MemoryRequest r = request();
    r.position_bytes = position_bytes;
    r.max_model_len = 1 << 20;
    const std::string message = plan_memory(r).status().message();
    const std::string before = "longest that would fit is ";
    const auto longest =
        static_cast<int32_t>(std::stol(message.substr(message.find(before) + before.size())));
    r.max_model_len = longest;
    EXPECT_TRUE(plan_memory(r).ok()) << message;
    r.max_model_len = longest + 1;
    EXPECT_FALSE(plan_memory(r).ok()) << message;
  }
}

TEST(MemoryPlan, SizesThatOverflowAreRefused) {
  MemoryRequest r = request();
  r.groups = {testing::full_group(1024, 1ull << 46)};
  r.num_blocks_override = 1 << 30;
  auto plan = plan_memory(r);
  ASSERT_FALSE(plan.ok());
  EXPECT_THAT(plan.status().message(), HasSubstr("--num-gpu-blocks-override"));
  r.num_blocks_override = 0;
  r.kv_cache_bytes = INT64_MAX;
  EXPECT_EQ(plan_memory(r)->num_blocks, (1 << 17) - 1);
}

// A step's tokens are in the windows once, whatever the number of sequences.
TEST(MemoryPlan, CountsTrueConcurrency) {
  MemoryRequest r = request();
  r.groups = {testing::full_group(16, kMiB), testing::window_group(16, 100, kMiB)};
  r.kv_cache_bytes =
      (1 + 32 + 3 * (100 + 8)) * kMiB;  // the null block, a step, 1600 tokens and their windows
  auto plan = plan_memory(r);
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_DOUBLE_EQ(plan->max_concurrency, 3);
  EXPECT_EQ(plan->num_tokens, 3 * 1600);
}

TEST(MemoryPlan, CountsABlocksBytes) {
  testing::TinyModel tiny =
      testing::make_tiny_model({.layers = 3, .heads = 4, .kv_heads = 2, .head_dim = 16});
  auto spec = read_model_spec(tiny.config_json(), "config.json");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  auto groups = kv_groups(spec->config, DType::kBF16, 16, cpu_ops());
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].block_bytes, 2u * 16 * 2 * 16 * 2 * 3);  // K and V, tokens, heads, dims, bytes, layers
  const auto activations = [&](int32_t num_tokens, int32_t input_parts) {
    return estimate_activation_bytes(spec->config, num_tokens, input_parts, cpu_ops());
  };
  EXPECT_GT(activations(2048, 1), activations(64, 1));
  EXPECT_GT(activations(64, 4), activations(64, 1)) << "room for each form of an input";
  EXPECT_GE(estimate_position_bytes(spec->config, groups, 64), 16u * 4 + 64 * 4 / 16);
}

// What is planned for is what the decoder then holds, up to the padding of fused weights' panels.
TEST(MemoryPlan, CountsTheWeightsAsTheyWillBeHeld) {
  testing::TinyModel tiny = testing::make_tiny_model({.vocab = 500, .hidden = 128, .intermediate = 256});
  auto spec = read_model_spec(tiny.config_json(), "config.json");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  ComputePool pool(1);
  CpuStream stream(&pool);
  auto checkpoint = make_dummy_checkpoint(tensor_list(*spec), DType::kF32, 0, &pool);
  const WeightFormat formats[] = {
      {WeightScheme::kF32}, {WeightScheme::kBF16}, {WeightScheme::kInt8}, {WeightScheme::kInt4, 32, true}};
  uint64_t last = UINT64_MAX;
  for (const WeightFormat& format : formats) {
    auto decoder =
        Decoder::load(*spec, *checkpoint, {.layers_format = format, .vocabulary_format = format}, stream);
    ASSERT_TRUE(decoder.ok()) << decoder.status().message();
    const uint64_t estimate = estimate_weight_bytes(*spec, {DType::kF32, format, format}, nullptr, cpu_ops()),
                   held = (*decoder)->weight_bytes();
    EXPECT_NEAR(static_cast<double>(estimate), static_cast<double>(held), 0.15 * static_cast<double>(held))
        << format_name(format);
    EXPECT_GE(estimate, held) << format_name(format);
    EXPECT_LT(estimate, last);
    last = estimate;
  }
}

}  // namespace
}  // namespace pagoda
