#include "metrics/catalog.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/metrics/prometheus_text.h"

namespace pagoda {
namespace {

using testing::Exposition;
using testing::parse_prometheus;

constexpr const char* kTtft =
    "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1 2.5 5 7.5 10 20 40 80 160 640 2560";
constexpr const char* kPerToken =
    "0.001 0.002 0.003 0.005 0.0075 0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1 2.5 5 7.5 10 20 40 "
    "80";
constexpr const char* kPerRequest =
    "0.3 0.5 0.8 1 1.5 2 2.5 5 10 15 20 30 40 50 60 120 240 480 960 1920 7680";
constexpr const char* kTokens = "1 2 5 10 20 50 100 200 500 1000 2000";  // max_model_len 2048
constexpr const char* kLives =
    "0.001 0.002 0.005 0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10 20 30 60 120 300 600 1200 1800";
constexpr const char* kTransfer = "1e+06 5e+06 1e+07 2e+07 4e+07 6e+07 8e+07 1e+08 1.5e+08 2e+08";

struct Row {
  const char *name, *type;
  const char* label = "";   // besides engine and model_name
  const char* values = "";  // of that label; a histogram's upper bounds
};

// vLLM's names, types, labels and bounds, as its dashboards and the routers beside it read them.
constexpr Row kRows[] = {
    {"vllm:num_requests_running", "gauge"},
    {"vllm:num_requests_waiting", "gauge"},
    {"vllm:num_requests_waiting_by_reason", "gauge", "reason", "capacity deferred"},
    {"vllm:engine_sleep_state", "gauge", "sleep_state", "awake weights_offloaded discard_all"},
    {"vllm:kv_cache_usage_perc", "gauge"},
    {"vllm:prompt_tokens", "counter"},
    {"vllm:prompt_tokens_by_source", "counter", "source",
     "local_compute local_cache_hit external_kv_transfer"},
    {"vllm:prompt_tokens_cached", "counter"},
    {"vllm:prompt_tokens_cached_by_source", "counter", "source", "device host p2p disk external_unspecified"},
    {"vllm:prompt_tokens_recomputed", "counter"},
    {"vllm:generation_tokens", "counter"},
    {"vllm:prefix_cache_queries", "counter"},
    {"vllm:prefix_cache_hits", "counter"},
    {"vllm:external_prefix_cache_queries", "counter"},
    {"vllm:external_prefix_cache_hits", "counter"},
    {"vllm:num_preemptions", "counter"},
    {"vllm:request_success", "counter", "finished_reason", "stop length abort error timeout repetition"},
    {"vllm:corrupted_requests", "counter"},
    {"vllm:admission_rejections", "counter", "reason", "max_num_queued_reqs max_num_queued_tokens deadline"},
    {"vllm:time_to_first_token_seconds", "histogram", "le", kTtft},
    {"vllm:inter_token_latency_seconds", "histogram", "le", kPerToken},
    {"vllm:request_time_per_output_token_seconds", "histogram", "le", kPerToken},
    {"vllm:e2e_request_latency_seconds", "histogram", "le", kPerRequest},
    {"vllm:request_queue_time_seconds", "histogram", "le", kPerRequest},
    {"vllm:request_prefill_time_seconds", "histogram", "le", kPerRequest},
    {"vllm:request_decode_time_seconds", "histogram", "le", kPerRequest},
    {"vllm:request_inference_time_seconds", "histogram", "le", kPerRequest},
    {"vllm:request_prompt_tokens", "histogram", "le", kTokens},
    {"vllm:request_generation_tokens", "histogram", "le", kTokens},
    {"vllm:request_max_num_generation_tokens", "histogram", "le", kTokens},
    {"vllm:request_params_max_tokens", "histogram", "le", kTokens},
    {"vllm:request_prefill_kv_computed_tokens", "histogram", "le", kTokens},
    {"vllm:request_params_n", "histogram", "le", "1 2 5 10 20"},
    {"vllm:request_num_preemptions", "histogram", "le", "1 2 3 4 5 10 20"},
    {"vllm:iteration_tokens_total", "histogram", "le", "1 8 16 32 64 128 256 512 1024 2048 4096 8192 16384"},
    {"vllm:kv_block_lifetime_seconds", "histogram", "le", kLives},
    {"vllm:kv_block_idle_before_evict_seconds", "histogram", "le", kLives},
    {"vllm:kv_block_reuse_gap_seconds", "histogram", "le", kLives},
    {"vllm:kv_offload_load_bytes", "counter"},
    {"vllm:kv_offload_load_time", "counter"},
    {"vllm:kv_offload_load_size", "histogram", "le", kTransfer},
    {"vllm:kv_offload_store_bytes", "counter"},
    {"vllm:kv_offload_store_time", "counter"},
    {"vllm:kv_offload_store_size", "histogram", "le", kTransfer},
    {"vllm:kv_offload_stores_skipped", "counter"},
    {"vllm:kv_offload_cpu_cache_usage_perc", "gauge"},
    {"vllm:kv_offload_cpu_cache_occupancy_perc", "gauge"},
    {"vllm:kv_offload_cpu_cache_occupied_bytes", "gauge"},
    {"vllm:kv_offload_cpu_cache_capacity_bytes", "gauge"},
    {"pagoda:kv_event_batches_published", "counter"},
    {"pagoda:kv_event_batches_dropped", "counter"},
    {"pagoda:kv_event_batches_replayed", "counter"},
    {"pagoda:engine_step_seconds", "histogram", "le",
     "0.0001 0.0002 0.0005 0.001 0.002 0.003 0.005 0.0075 0.01 0.015 0.02 0.03 0.04 0.06 0.08 0.1 0.15 0.2 "
     "0.25 "
     "0.3 0.4 0.5 0.75 1 2.5 5 7.5 10 20 40"},
    {"pagoda:scheduler_seconds", "histogram", "le",
     "5e-06 1e-05 2e-05 5e-05 0.0001 0.0002 0.0005 0.001 0.002 0.005 0.01"},
};

// The series that a row stands for, by label text.
std::set<std::string> expected_series(const Row& row) {
  const std::string label = row.label;
  if (label.empty()) return {R"(engine="0",model_name="m")"};
  auto labels_with = [&](const std::string& value) {
    std::map<std::string, std::string> labels = {{"model_name", "m"}, {label, value}};
    if (row.name != std::string("vllm:admission_rejections")) labels["engine"] = "0";
    std::string text;
    for (const auto& [name, value_of] : labels)
      text += (text.empty() ? "" : ",") + name + "=\"" + value_of + '"';
    return text;
  };
  std::set<std::string> out;
  std::istringstream words(row.values);
  for (std::string word; words >> word;) {
    if (label == "le" && word.find_first_of(".e") == std::string::npos) word += ".0";
    if (label == "le" && word.find("e+0") != std::string::npos)  // as Python prints it
      word = std::to_string(static_cast<int64_t>(std::strtod(word.c_str(), nullptr))) + ".0";
    out.insert(labels_with(word));
  }
  if (label == "le") out.insert(labels_with("+Inf"));
  return out;
}

TEST(Catalog, HasVllmsNamesTypesLabelsAndBounds) {
  MetricsRegistry registry;
  EngineMetrics metrics(&registry, "m", 2048, {.block_residency = true, .offload = true, .kv_events = true});
  const Exposition text = parse_prometheus(registry.render());
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.name);
    const std::string type = row.type, name = row.name + std::string(type == "counter" ? "_total" : "");
    ASSERT_TRUE(text.types.count(name));
    EXPECT_EQ(text.types.at(name), type);
    const std::string sampled = name + (type == "histogram" ? "_bucket" : "");
    ASSERT_TRUE(text.has(sampled));
    std::set<std::string> found;
    for (const auto& [labels, value] : text.samples.at(sampled)) found.insert(labels);
    EXPECT_EQ(found, expected_series(row));
    EXPECT_EQ(text.has(name + "_sum") && text.has(name + "_count"), type == "histogram");
  }
  std::size_t num_families = 0;
  for (const auto& [name, type] : text.types) num_families += !name.ends_with("_created");
  EXPECT_EQ(num_families, std::size(kRows)) << "a metric is not in this table";
  EXPECT_EQ(metrics.sleep_awake.value(), 1);
}

TEST(Catalog, LeavesOutPartsThatAServerLacks) {
  MetricsRegistry registry;
  EngineMetrics metrics(&registry, "m", 2048);
  const Exposition text = parse_prometheus(registry.render());
  EXPECT_FALSE(metrics.block_residency || metrics.offload || metrics.kv_events);
  for (const auto& [name, type] : text.types) {
    EXPECT_EQ(name.find("kv_block"), std::string::npos) << name;
    EXPECT_EQ(name.find("kv_offload"), std::string::npos) << name;
    EXPECT_EQ(name.find("kv_event"), std::string::npos) << name;
  }
}

// What is finer than vLLM's bounds must still have each of vLLM's: its dashboards' queries stay exact.
TEST(Catalog, TokenLatencyKeepsVllmsBounds) {
  MetricsRegistry registry;
  EngineMetrics metrics(&registry, "m", 2048);
  const auto buckets =
      parse_prometheus(registry.render()).samples.at("vllm:inter_token_latency_seconds_bucket");
  for (const char* bound : {"0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2",  "0.3",  "0.4",  "0.5",
                            "0.75", "1.0",   "2.5",  "5.0",   "7.5", "10.0", "20.0", "40.0", "80.0", "+Inf"})
    EXPECT_TRUE(buckets.count(R"(engine="0",le=")" + std::string(bound) + R"(",model_name="m")")) << bound;
}

}  // namespace
}  // namespace pagoda
