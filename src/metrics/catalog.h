// Every metric of the engine and of the HTTP server, declared once. Names, labels and buckets are vLLM's, so
// that dashboards, autoscalers and routers made for it work unchanged; `pagoda:` marks what vLLM has no name
// for.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "metrics/registry.h"

namespace pagoda {

// Residency of sampled blocks of the cache; all three are observed when a block's content gives way to
// another's.
struct BlockResidencyMetrics {
  Histogram &lifetime, &idle_before_evict, &reuse_gap;
};

// KV offloading.
struct OffloadMetrics {
  Counter &load_bytes, &load_time, &store_bytes, &store_time, &stores_skipped;
  Histogram &load_size, &store_size;
  Gauge &usage_perc, &occupancy_perc, &occupied_bytes, &capacity_bytes;
};

// What is published for routers (--kv-events-config).
struct KvEventMetrics {
  Counter &published, &dropped, &replayed;
};

// Bounds of histograms by vLLM's names of their families, in place of the usual ones.
using HistogramBounds = std::map<std::string, std::vector<double>>;
// Those names.
std::span<const char* const> histogram_families();

// Parts of the catalog that only some servers have.
struct EngineMetricsParts {
  bool block_residency = false, offload = false, kv_events = false;
  std::vector<std::string> kv_group_kinds = {};  // of the cache's groups, where there are several
  HistogramBounds bounds = {};
};

struct EngineGauges {
  Gauge &num_requests_running, &num_requests_waiting, &waiting_capacity, &waiting_deferred,
      &kv_cache_usage_perc;
  Gauge &sleep_awake, &sleep_weights_offloaded, &sleep_discard_all;  // exactly one is 1

 protected:
  template <class Declare>
  explicit EngineGauges(Declare declare);
};

struct EngineCounters {
  Counter &prompt_tokens, &generation_tokens, &prompt_tokens_local_compute, &prompt_tokens_local_cache_hit,
      &prompt_tokens_external, &prompt_tokens_cached, &prompt_tokens_recomputed;
  Counter &cached_by_device, &cached_by_host, &cached_by_p2p, &cached_by_disk, &cached_by_others;
  Counter &prefix_cache_queries, &prefix_cache_hits, &external_prefix_cache_queries,
      &external_prefix_cache_hits, &num_preemptions;
  Counter &success_stop, &success_length, &success_abort, &success_timeout, &success_error,
      &success_repetition, &corrupted_requests;
  Counter &rejected_queue_full, &rejected_queue_tokens, &rejected_deadline;

 protected:
  template <class Declare>
  explicit EngineCounters(Declare declare);
};

// Seconds or tokens.
struct EngineHistograms {
  Histogram &time_to_first_token, &inter_token_latency, &request_time_per_output_token, &e2e_request_latency,
      &request_queue_time, &request_prefill_time, &request_decode_time, &request_inference_time;
  Histogram &request_prompt_tokens, &request_generation_tokens, &request_max_num_generation_tokens,
      &request_params_max_tokens, &request_prefill_kv_computed_tokens, &request_params_n,
      &request_num_preemptions, &iteration_tokens_total;
  Histogram &step_time, &scheduler_time;  // pagoda:engine_step_seconds, pagoda:scheduler_seconds

 protected:
  template <class Declare>
  explicit EngineHistograms(Declare declare);
};

struct EngineMetrics : EngineGauges, EngineCounters, EngineHistograms {
  EngineMetrics(MetricsRegistry* registry, const std::string& model_name, int32_t max_model_len,
                const EngineMetricsParts& parts = {});
  // Empty where the part is off.
  std::optional<BlockResidencyMetrics> block_residency;
  std::optional<OffloadMetrics> offload;
  std::optional<KvEventMetrics> kv_events;
  std::vector<Gauge*> kv_group_usage_perc;  // by group

 private:
  template <class Declare>
  EngineMetrics(Declare declare, const EngineMetricsParts& parts);
};

// `vllm:cache_config_info`: constants of the cache as labels of a gauge that is 1.
void publish_cache_config(MetricsRegistry* registry, const Labels& labels);

}  // namespace pagoda
