#include "assembly/observability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<KvGroupSpec> kGroups = {{16, 0, 1000}, {16, 64, 3000}};

TEST(Observability, TellsEveryFieldOfTheCache) {
  MetricsRegistry registry;
  ModelOptions options;
  options.num_blocks_override = 101;
  options.kv_offload.memory_gib = 0.5;
  options.kv_cache_metrics_sample = 0.25;
  const PrefixCacheConfig cache = {.lifetime_sample = 0.25, .tier_slots = 7};
  auto metrics = declare_metrics(&registry, options, {"m", 2048, 101, cache, kGroups});
  const std::string text = registry.render();
  EXPECT_THAT(
      text,
      HasSubstr(
          "vllm:cache_config_info{block_size=\"16\",cache_dtype=\"auto\",enable_prefix_caching=\"True\","
          "engine=\"0\",gpu_memory_utilization=\"0.5\",is_attention_free=\"False\","
          "kv_cache_memory_bytes=\"None\",kv_cache_size_tokens=\"800\",kv_offloading_backend=\"native\","
          "kv_offloading_size=\"0.5\",num_cpu_blocks=\"7\",num_gpu_blocks=\"101\","
          "num_gpu_blocks_override=\"101\",prefix_caching_hash_algo=\"sha256\",sliding_window=\"None\"} "
          "1.0\n"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
  ASSERT_TRUE(metrics->offload && metrics->block_lives);
  EXPECT_EQ(metrics->offload->capacity_bytes.value(), 21000);  // a slot holds a block of any group
  EXPECT_FALSE(metrics->kv_events);
}

TEST(Observability, PartsThatAreOffHaveNoMetrics) {
  MetricsRegistry registry;
  auto metrics = declare_metrics(&registry, {}, {"m", 2048, 5, {}, kGroups});
  EXPECT_FALSE(metrics->offload || metrics->block_lives || metrics->kv_events);
  EXPECT_THAT(registry.render(), HasSubstr("kv_offloading_size=\"None\""));
}

TEST(Observability, OpensTheEventsThatAreAskedFor) {
  ModelOptions options;
  CpuPlan cpus;
  {
    MetricsRegistry registry;
    auto metrics = declare_metrics(&registry, options, {"m", 2048, 5, {}, kGroups});
    EXPECT_EQ(open_kv_events(options, {}, kGroups, cpus, *metrics).value(), nullptr);
  }
  options.kv_events.enabled = true;
  options.kv_events.endpoint = "tcp://127.0.0.1:*";
  MetricsRegistry registry;
  auto metrics = declare_metrics(&registry, options, {"m", 2048, 5, {}, kGroups});
  auto publisher = open_kv_events(options, {}, kGroups, cpus, *metrics);
  ASSERT_TRUE(publisher.ok());
  EXPECT_THAT((*publisher)->endpoint(), Not(HasSubstr("*")));
  options.kv_events.endpoint = "tcp://no such host:*";
  EXPECT_THAT(open_kv_events(options, {}, kGroups, cpus, *metrics).status().message(),
              HasSubstr("--kv-events-config"));
}

}  // namespace
}  // namespace pagoda
