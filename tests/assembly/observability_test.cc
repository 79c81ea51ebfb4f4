#include "assembly/observability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "tests/metrics/prometheus_text.h"
#include "tests/metrics/vllm_families.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string label_names(const std::string& labels) {
  static const std::regex label("([a-z_]+)=\"[^\"]*\"");
  std::string names;
  for (std::sregex_iterator it(labels.begin(), labels.end(), label), end; it != end; ++it)
    names += (names.empty() ? "" : " ") + (*it)[1].str();
  return names;
}

const std::vector<KvGroupSpec> kGroups = {testing::full_group(16, 3000), testing::window_group(16, 64, 3000)};

TEST(Observability, TellsEveryFieldOfTheCache) {
  MetricsRegistry registry;
  EngineArgs options;
  options.cache.num_gpu_blocks_override = 101;
  options.cache.offload.memory_gib = 0.5;
  options.cache.prefix_cache.residency_sample = 0.25;
  const PrefixCacheConfig cache = {.residency_sample = 0.25, .offload_slots = 7};
  auto metrics = declare_metrics(
      &registry, options,
      {"m", 2048, {.num_blocks = 101, .max_concurrency = 0.390625, .num_tokens = 800}, cache, kGroups});
  const std::string text = registry.render();
  const std::string info =
      testing::parse_prometheus(text).samples.at("vllm:cache_config_info").begin()->first;
  for (const char* label :
       {R"(block_size="16")", R"(cache_dtype="auto")", R"(enable_prefix_caching="True")", R"(engine="0")",
        R"(gpu_memory_utilization="0.5")", R"(kv_cache_memory_bytes="None")", R"(kv_cache_size_tokens="800")",
        R"(kv_cache_max_concurrency="0.390625")", R"(kv_offloading_size="0.5")", R"(num_cpu_blocks="7")",
        R"(num_gpu_blocks="101")", R"(num_gpu_blocks_override="101")",
        R"(user_specified_block_size="False")"})
    EXPECT_THAT(',' + info + ',', HasSubstr(',' + std::string(label) + ','));
  for (const testing::VllmFamily& family : testing::kVllmFamilies)
    if (family.name == std::string("vllm:cache_config_info")) {
      EXPECT_EQ(label_names(info), family.labels);
    }
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes "));
  ASSERT_TRUE(metrics->offload && metrics->block_residency);
  EXPECT_EQ(metrics->offload->capacity_bytes.value(), 21000);  // a slot holds a block of any group
  EXPECT_FALSE(metrics->kv_events);
}

TEST(Observability, PartsThatAreOffHaveNoMetrics) {
  MetricsRegistry registry;
  auto metrics = declare_metrics(&registry, {}, {"m", 2048, {}, {}, kGroups});
  EXPECT_FALSE(metrics->offload || metrics->block_residency || metrics->kv_events);
  EXPECT_THAT(registry.render(), HasSubstr("kv_offloading_size=\"None\""));
}

TEST(Observability, OpensTheEventsThatAreAskedFor) {
  EngineArgs options;
  CpuPlan cpus;
  {
    MetricsRegistry registry;
    auto metrics = declare_metrics(&registry, options, {"m", 2048, {}, {}, kGroups});
    EXPECT_EQ(open_kv_events(options.observability.kv_events, {}, kGroups, cpus, *metrics).value(), nullptr);
  }
  options.observability.kv_events.enabled = true;
  options.observability.kv_events.endpoint = "tcp://127.0.0.1:*";
  MetricsRegistry registry;
  auto metrics = declare_metrics(&registry, options, {"m", 2048, {}, {}, kGroups});
  auto publisher = open_kv_events(options.observability.kv_events, {}, kGroups, cpus, *metrics);
  ASSERT_TRUE(publisher.ok());
  EXPECT_THAT((*publisher)->endpoint(), Not(HasSubstr("*")));
  options.observability.kv_events.endpoint = "tcp://no such host:*";
  EXPECT_THAT(open_kv_events(options.observability.kv_events, {}, kGroups, cpus, *metrics).status().message(),
              HasSubstr("--kv-events-config"));
}

}  // namespace
}  // namespace pagoda
