#include "metrics/registry.h"

#include <gtest/gtest.h>

#include <thread>

#include "metrics/catalog.h"

namespace pagoda {
namespace {

TEST(MetricsRegistry, RendersPrometheusText) {
  MetricsRegistry registry;
  registry.counter("a:requests", "How many.", {{"path", "/v1\"x\\"}}).add(3);
  registry.gauge("b", "Now.", {}).set(0.25);
  Histogram& histogram = registry.histogram("c_seconds", "Time.", {{"k", "v"}}, {0.1, 1});
  histogram.observe(0.1);  // bounds are inclusive
  histogram.observe(0.5, 2);
  histogram.observe(7);
  EXPECT_EQ(registry.render(),
            "# HELP a:requests_total How many.\n# TYPE a:requests_total counter\n"
            "a:requests_total{path=\"/v1\\\"x\\\\\"} 3.0\n"
            "# HELP b Now.\n# TYPE b gauge\nb 0.25\n"
            "# HELP c_seconds Time.\n# TYPE c_seconds histogram\n"
            "c_seconds_bucket{k=\"v\",le=\"0.1\"} 1.0\nc_seconds_bucket{k=\"v\",le=\"1.0\"} 3.0\n"
            "c_seconds_bucket{k=\"v\",le=\"+Inf\"} 4.0\nc_seconds_sum{k=\"v\"} 8.1\nc_seconds_count{k=\"v\"} "
            "4.0\n");
}

TEST(MetricsRegistry, UpdatesFromManyThreadsAddUp) {
  MetricsRegistry registry;
  Counter& counter = registry.counter("n", "", {});
  Histogram& histogram = registry.histogram("h", "", {}, {1, 2});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) counter.add(), histogram.observe(1.5);
    });
  for (int i = 0; i < 20; ++i) (void)registry.render();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 20000);
  EXPECT_EQ(histogram.count(), 20000u);
  EXPECT_EQ(histogram.sum(), 30000);
}

// The names that dashboards, autoscalers and routers made for vLLM read.
TEST(EngineMetrics, HasVllmsNames) {
  MetricsRegistry registry;
  EngineMetrics metrics(&registry, "m", 2048);
  std::string text = registry.render();
  for (const char* name :
       {"vllm:num_requests_running{engine=\"0\",model_name=\"m\"}", "vllm:num_requests_waiting{",
        "vllm:kv_cache_usage_perc{", "vllm:prompt_tokens_total{", "vllm:generation_tokens_total{",
        "vllm:num_preemptions_total{",
        "vllm:request_success_total{engine=\"0\",model_name=\"m\",finished_reason=\"stop\"}",
        "vllm:time_to_first_token_seconds_bucket{engine=\"0\",model_name=\"m\",le=\"0.001\"}",
        "vllm:inter_token_latency_seconds_bucket{", "vllm:e2e_request_latency_seconds_bucket{",
        "vllm:request_queue_time_seconds_sum{", "vllm:request_prefill_time_seconds_sum{",
        "vllm:request_decode_time_seconds_sum{", "vllm:request_max_num_generation_tokens_sum{",
        "vllm:request_prompt_tokens_bucket{engine=\"0\",model_name=\"m\",le=\"2000.0\"}",
        "vllm:iteration_tokens_total_bucket{", "vllm:prefix_cache_queries_total{",
        "vllm:prefix_cache_hits_total{", "pagoda:engine_step_seconds_bucket{"})
    EXPECT_NE(text.find(name), std::string::npos) << name;
}

}  // namespace
}  // namespace pagoda
