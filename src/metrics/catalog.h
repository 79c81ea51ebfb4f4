// Every metric of the engine and of the HTTP server, declared once. Names, labels and buckets are vLLM's, so
// that dashboards, autoscalers and routers made for it work unchanged; `pagoda:` marks what vLLM has no name
// for.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "metrics/registry.h"

namespace pagoda {

// Lives of sampled blocks of the cache; all three are observed when a block's content gives way to another's.
struct BlockLifeMetrics {
  Histogram &lifetime, &idle_before_evict, &reuse_gap;
};

// The second tier of the cache.
struct OffloadMetrics {
  Counter &load_bytes, &load_time, &store_bytes, &store_time, &stores_skipped;
  Histogram &load_size, &store_size;
  Gauge &usage_perc, &occupancy_perc, &occupied_bytes, &capacity_bytes;
};

// What is published for routers (--kv-events-config).
struct KvEventMetrics {
  Counter &published, &dropped, &replayed;
};

// Parts of the catalog that only some servers have.
struct EngineMetricsParts {
  bool block_lives = false, offload = false, kv_events = false;
};

struct EngineMetrics {
  EngineMetrics(MetricsRegistry* registry, const std::string& model_name, int32_t max_model_len,
                EngineMetricsParts parts = {});
  // Gauges.
  Gauge &num_requests_running, &num_requests_waiting, &waiting_capacity, &waiting_deferred,
      &kv_cache_usage_perc;
  Gauge &sleep_awake, &sleep_weights_offloaded, &sleep_discard_all;  // exactly one is 1
  // Counters.
  Counter &prompt_tokens, &generation_tokens, &prompt_tokens_local_compute, &prompt_tokens_local_cache_hit,
      &prompt_tokens_external, &prompt_tokens_cached, &prompt_tokens_recomputed, &prefix_cache_queries,
      &prefix_cache_hits, &external_prefix_cache_queries, &external_prefix_cache_hits, &num_preemptions;
  Counter &success_stop, &success_length, &success_abort, &success_timeout, &success_error,
      &corrupted_requests, &rejected_queue_full, &rejected_queue_tokens, &rejected_deadline;
  // Histograms, seconds or tokens.
  Histogram &time_to_first_token, &inter_token_latency, &request_time_per_output_token, &e2e_request_latency,
      &request_queue_time, &request_prefill_time, &request_decode_time, &request_inference_time;
  Histogram &request_prompt_tokens, &request_generation_tokens, &request_max_num_generation_tokens,
      &request_params_max_tokens, &request_prefill_kv_computed_tokens, &request_params_n,
      &iteration_tokens_total;
  Histogram &step_time, &scheduler_time;  // pagoda:engine_step_seconds, pagoda:scheduler_seconds
  // Empty where the part is off.
  std::optional<BlockLifeMetrics> block_lives;
  std::optional<OffloadMetrics> offload;
  std::optional<KvEventMetrics> kv_events;

 private:
  template <class Declare>
  EngineMetrics(Declare declare, EngineMetricsParts parts);
};

// `vllm:cache_config_info`: constants of the cache as labels of a gauge that is 1.
void publish_cache_config(MetricsRegistry* registry, const Labels& labels);

}  // namespace pagoda
