// Every metric of the engine and of the HTTP server, declared once. Names, labels and buckets are vLLM's, so
// that dashboards, autoscalers and routers made for it work unchanged; `pagoda:` marks what vLLM has no name
// for.
#pragma once
#include <cstdint>
#include <string>

#include "metrics/registry.h"

namespace pagoda {

struct EngineMetrics {
  EngineMetrics(MetricsRegistry* registry, const std::string& model_name, int32_t max_model_len);
  // Gauges.
  Gauge &num_requests_running, &num_requests_waiting, &waiting_capacity, &waiting_deferred,
      &kv_cache_usage_perc;
  // Counters.
  Counter &prompt_tokens, &generation_tokens, &prompt_tokens_local_compute, &prompt_tokens_local_cache_hit,
      &prompt_tokens_cached, &prompt_tokens_recomputed, &prefix_cache_queries, &prefix_cache_hits,
      &num_preemptions;
  Counter &success_stop, &success_length, &success_abort, &success_timeout, &success_error,
      &corrupted_requests, &rejected_queue_full, &rejected_queue_tokens, &rejected_deadline;
  // Histograms, seconds or tokens.
  Histogram &time_to_first_token, &inter_token_latency, &request_time_per_output_token, &e2e_request_latency,
      &request_queue_time, &request_prefill_time, &request_decode_time, &request_inference_time;
  Histogram &request_prompt_tokens, &request_generation_tokens, &request_max_num_generation_tokens,
      &request_params_max_tokens, &request_params_n, &iteration_tokens_total;
  Histogram& step_time;  // pagoda:engine_step_seconds

 private:
  template <class Declare>
  explicit EngineMetrics(Declare declare);
};

// `vllm:cache_config_info`: constants of the cache as labels of a gauge that is 1.
void publish_cache_config(MetricsRegistry* registry, const Labels& labels);

}  // namespace pagoda
