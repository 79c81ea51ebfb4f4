#include "metrics/catalog.h"

namespace pagoda {
namespace {

const std::vector<double> kTtftBounds = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                                         1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
// vLLM's begin at .01: the others tell fast models apart.
const std::vector<double> kTokenLatencyBounds = {.001, .002, .003, .005, .0075, .01, .025, .05,
                                                 .075, .1,   .15,  .2,   .3,    .4,  .5,   .75,
                                                 1,    2.5,  5,    7.5,  10,    20,  40,   80};
const std::vector<double> kRequestLatencyBounds = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                                   30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
constexpr const char* kFamilies[] = {"request_latency",  "time_to_first_token", "inter_token_latency",
                                     "iteration_tokens", "request_params_n",    "request_num_preemptions",
                                     "request_tokens",   "kv_cache_residency"};
constexpr const char *kLatency = kFamilies[0], *kFirstToken = kFamilies[1], *kBetween = kFamilies[2],
                     *kIteration = kFamilies[3], *kParamsN = kFamilies[4], *kPreemptions = kFamilies[5],
                     *kTokens = kFamilies[6], *kResidency = kFamilies[7];

const std::vector<double> kIterationBounds = {1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384};

const std::vector<double> kStepBounds = {.0001, .0002, .0005, .001, .002, .003, .005, .0075, .01, .015,
                                         .02,   .03,   .04,   .06,  .08,  .1,   .15,  .2,    .25, .3,
                                         .4,    .5,    .75,   1,    2.5,  5,    7.5,  10,    20,  40};
const std::vector<double> kSchedulerBounds = {5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4,
                                              5e-4, 1e-3, 2e-3, 5e-3, 1e-2};
const std::vector<double> kBlockLifeBounds = {.001, .002, .005, .01, .02, .05, .1,  .2,  .5,   1,   2,
                                              5,    10,   20,   30,  60,  120, 300, 600, 1200, 1800};
const std::vector<double> kTransferBounds = {1e6, 5e6, 1e7, 2e7, 4e7, 6e7, 8e7, 1e8, 1.5e8, 2e8};

// 1, 2, 5, 10, 20, 50, ... up to the longest sequence there can be.
std::vector<double> one_two_five(int32_t max_model_len) {
  std::vector<double> bounds;
  for (double decade = 1;; decade *= 10) {
    for (double digit : {1., 2., 5.}) {
      if (digit * decade > max_model_len) return bounds;
      bounds.push_back(digit * decade);
    }
  }
}

Labels with(Labels labels, std::string name, std::string value) {
  labels.emplace_back(std::move(name), std::move(value));
  return labels;
}

// Adds the labels that all series share.
class Declare {
 public:
  Declare(MetricsRegistry* registry, const std::string& model_name, int32_t max_model_len,
          const HistogramBounds& bounds)
      : registry_(registry),
        labels_{{"engine", "0"}, {"model_name", model_name}},
        max_model_len_(max_model_len),
        bounds_(bounds) {}
  Gauge& gauge(const char* name, const char* help) { return registry_->gauge(name, help, labels_); }
  Gauge& waiting(const char* reason) {
    return registry_->gauge("vllm:num_requests_waiting_by_reason",
                            "Number of waiting requests by the reason they wait.",
                            with(labels_, "reason", reason));
  }
  Counter& counter(const char* name, const char* help) { return registry_->counter(name, help, labels_); }
  Counter& source(const char* source) {
    return registry_->counter("vllm:prompt_tokens_by_source",
                              "Number of prompt tokens by where their KV came from.",
                              with(labels_, "source", source));
  }
  Counter& cached_by(const char* source) {
    return registry_->counter(
        "vllm:prompt_tokens_cached_by_source",
        "Number of prompt tokens found in a cache, by where it keeps them: the KV cache "
        "(device), the offload memory (host) or disk (disk).",
        with(labels_, "source", source));
  }
  Gauge& kv_group_usage(std::size_t group, const std::string& kind) {
    return registry_->gauge(
        "pagoda:kv_cache_group_usage_perc",
        "Share of the KV cache's blocks that each of its groups of layers uses.",
        with(with(labels_, "group", std::to_string(group).c_str()), "kind", kind.c_str()));
  }
  Gauge& sleep_state(const char* state) {
    return registry_->gauge("vllm:engine_sleep_state",
                            "Engine sleep state: 1 at the state that the engine is in.",
                            with(labels_, "sleep_state", state));
  }
  Counter& success(const char* reason) {
    return registry_->counter("vllm:request_success", "Count of successfully processed requests.",
                              with(labels_, "finished_reason", reason));
  }
  // No engine has seen them: they carry no label of one.
  Counter& rejected(const char* reason) {
    return registry_->counter("vllm:admission_rejections",
                              "Number of requests refused before they entered the engine, by reason.",
                              with({labels_.back()}, "reason", reason));
  }
  Histogram& histogram(const char* name, const char* help, const std::vector<double>& bounds) {
    return registry_->histogram(name, help, labels_, bounds);
  }
  Histogram& histogram(const char* name, const char* help, const char* family,
                       const std::vector<double>& otherwise) {
    auto chosen = bounds_.find(family);
    return histogram(name, help, chosen == bounds_.end() ? otherwise : chosen->second);
  }
  Histogram& phase(const std::string& name, const std::string& phase) {
    return histogram(("vllm:request_" + name + "_time_seconds").c_str(),
                     ("Histogram of time spent in " + phase + " phase in seconds.").c_str(), kLatency,
                     kRequestLatencyBounds);
  }
  Histogram& tokens(const char* name, const char* help) {
    return histogram(name, help, kTokens, one_two_five(max_model_len_));
  }

  BlockResidencyMetrics block_residency();
  OffloadMetrics offload();
  KvEventMetrics kv_events();

 private:
  MetricsRegistry* registry_;
  Labels labels_;
  int32_t max_model_len_;
  const HistogramBounds& bounds_;
};

BlockResidencyMetrics Declare::block_residency() {
  return {histogram("vllm:kv_block_lifetime_seconds",
                    "Histogram of KV cache block lifetime from allocation to eviction. Sampled metrics "
                    "(controlled by --kv-cache-metrics-sample).",
                    kResidency, kBlockLifeBounds),
          histogram("vllm:kv_block_idle_before_evict_seconds",
                    "Histogram of idle time before KV cache block eviction. Sampled metrics (controlled by "
                    "--kv-cache-metrics-sample).",
                    kResidency, kBlockLifeBounds),
          histogram("vllm:kv_block_reuse_gap_seconds",
                    "Histogram of time gaps between consecutive KV cache block accesses, of the most recent "
                    "ones. Sampled metrics (controlled by --kv-cache-metrics-sample).",
                    kResidency, kBlockLifeBounds)};
}

OffloadMetrics Declare::offload() {
  return {
      counter("vllm:kv_offload_load_bytes", "Total bytes loaded from the offload memory into the KV cache."),
      counter("vllm:kv_offload_load_time",
              "Total time of loads from the offload memory into the KV cache, in seconds."),
      counter("vllm:kv_offload_store_bytes", "Total bytes stored from the KV cache in the offload memory."),
      counter("vllm:kv_offload_store_time",
              "Total time of stores from the KV cache in the offload memory, in seconds."),
      counter("vllm:kv_offload_stores_skipped", "Number of evicted blocks that were not stored."),
      histogram("vllm:kv_offload_load_size", "Histogram of KV offload load operation size, in bytes.",
                kTransferBounds),
      histogram("vllm:kv_offload_store_size", "Histogram of KV offload store operation size, in bytes.",
                kTransferBounds),
      gauge("vllm:kv_offload_cpu_cache_usage_perc",
            "Share of the offload memory that transfers under way hold."),
      gauge("vllm:kv_offload_cpu_cache_occupancy_perc", "Share of the offload memory that holds blocks."),
      gauge("vllm:kv_offload_cpu_cache_occupied_bytes", "Bytes of blocks in the offload memory."),
      gauge("vllm:kv_offload_cpu_cache_capacity_bytes", "Bytes of the offload memory.")};
}

KvEventMetrics Declare::kv_events() {
  return {
      counter("pagoda:kv_event_batches_published", "Number of batches of KV events sent to subscribers."),
      counter("pagoda:kv_event_batches_dropped",
              "Number of batches of KV events that were lost because the queue was full."),
      counter("pagoda:kv_event_batches_replayed", "Number of batches of KV events sent again for a replay.")};
}

}  // namespace

std::span<const char* const> histogram_families() {
  return kFamilies;
}

template <class D>
EngineGauges::EngineGauges(D declare)
    : num_requests_running(
          declare.gauge("vllm:num_requests_running", "Number of requests in model execution batches.")),
      num_requests_waiting(
          declare.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.")),
      waiting_capacity(declare.waiting("capacity")),
      waiting_deferred(declare.waiting("deferred")),
      kv_cache_usage_perc(
          declare.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.")),
      sleep_awake(declare.sleep_state("awake")),
      sleep_weights_offloaded(declare.sleep_state("weights_offloaded")),
      sleep_discard_all(declare.sleep_state("discard_all")) {
  sleep_awake.set(1);
}

template <class D>
EngineCounters::EngineCounters(D declare)
    : prompt_tokens(declare.counter("vllm:prompt_tokens", "Number of prefill tokens processed.")),
      generation_tokens(declare.counter("vllm:generation_tokens", "Number of generation tokens processed.")),
      prompt_tokens_local_compute(declare.source("local_compute")),
      prompt_tokens_local_cache_hit(declare.source("local_cache_hit")),
      prompt_tokens_external(declare.source("external_kv_transfer")),
      prompt_tokens_cached(
          declare.counter("vllm:prompt_tokens_cached", "Number of prompt tokens found in a cache.")),
      prompt_tokens_recomputed(
          declare.counter("vllm:prompt_tokens_recomputed", "Tokens computed again after a preemption.")),
      cached_by_device(declare.cached_by("device")),
      cached_by_host(declare.cached_by("host")),
      cached_by_p2p(declare.cached_by("p2p")),
      cached_by_disk(declare.cached_by("disk")),
      cached_by_others(declare.cached_by("external_unspecified")),
      prefix_cache_queries(declare.counter("vllm:prefix_cache_queries", "Prefix cache queries, in tokens.")),
      prefix_cache_hits(declare.counter("vllm:prefix_cache_hits", "Prefix cache hits, in tokens.")),
      external_prefix_cache_queries(
          declare.counter("vllm:external_prefix_cache_queries", "Queries of offloaded blocks, in tokens.")),
      external_prefix_cache_hits(
          declare.counter("vllm:external_prefix_cache_hits", "Hits in offloaded blocks, in tokens.")),
      num_preemptions(declare.counter("vllm:num_preemptions", "Cumulative number of preemptions.")),
      success_stop(declare.success("stop")),
      success_length(declare.success("length")),
      success_abort(declare.success("abort")),
      success_timeout(declare.success("timeout")),
      success_error(declare.success("error")),
      success_repetition(declare.success("repetition")),
      corrupted_requests(declare.counter("vllm:corrupted_requests", "Requests with non-finite logits.")),
      rejected_queue_full(declare.rejected("max_num_queued_reqs")),
      rejected_queue_tokens(declare.rejected("max_num_queued_tokens")),
      rejected_deadline(declare.rejected("deadline")) {}

template <class D>
EngineHistograms::EngineHistograms(D declare)
    : time_to_first_token(declare.histogram("vllm:time_to_first_token_seconds",
                                            "Histogram of time to first token in seconds.", kFirstToken,
                                            kTtftBounds)),
      inter_token_latency(declare.histogram("vllm:inter_token_latency_seconds",
                                            "Histogram of inter-token latency in seconds.", kBetween,
                                            kTokenLatencyBounds)),
      request_time_per_output_token(declare.histogram(
          "vllm:request_time_per_output_token_seconds",
          "Histogram of time per output token per request in seconds.", kBetween, kTokenLatencyBounds)),
      e2e_request_latency(declare.histogram("vllm:e2e_request_latency_seconds",
                                            "Histogram of end to end request latency in seconds.", kLatency,
                                            kRequestLatencyBounds)),
      request_queue_time(declare.phase("queue", "WAITING")),
      request_prefill_time(declare.phase("prefill", "PREFILL")),
      request_decode_time(declare.phase("decode", "DECODE")),
      request_inference_time(declare.phase("inference", "RUNNING")),
      request_prompt_tokens(
          declare.tokens("vllm:request_prompt_tokens", "Number of prefill tokens per request.")),
      request_generation_tokens(
          declare.tokens("vllm:request_generation_tokens", "Number of generation tokens per request.")),
      request_max_num_generation_tokens(
          declare.tokens("vllm:request_max_num_generation_tokens",
                         "Largest number of generation tokens among a request's choices.")),
      request_params_max_tokens(
          declare.tokens("vllm:request_params_max_tokens", "The max_tokens parameter of requests.")),
      request_prefill_kv_computed_tokens(
          declare.tokens("vllm:request_prefill_kv_computed_tokens",
                         "Number of prompt tokens per request whose KV was computed, not found in a cache.")),
      request_params_n(declare.histogram("vllm:request_params_n", "The n parameter of requests.", kParamsN,
                                         {1, 2, 5, 10, 20})),
      request_num_preemptions(declare.histogram("vllm:request_num_preemptions",
                                                "How many times a request was preempted.", kPreemptions,
                                                {1, 2, 3, 4, 5, 10, 20})),
      iteration_tokens_total(declare.histogram(
          "vllm:iteration_tokens_total", "Number of tokens per engine step.", kIteration, kIterationBounds)),
      step_time(declare.histogram("pagoda:engine_step_seconds",
                                  "Histogram of the time that the runner takes for one step, in seconds.",
                                  kStepBounds)),
      scheduler_time(
          declare.histogram("pagoda:scheduler_seconds",
                            "Histogram of the time that planning and committing one step take, in seconds.",
                            kSchedulerBounds)) {}

template <class D>
EngineMetrics::EngineMetrics(D declare, const EngineMetricsParts& parts)
    : EngineGauges(declare), EngineCounters(declare), EngineHistograms(declare) {
  if (parts.block_residency) block_residency.emplace(declare.block_residency());
  if (parts.offload) offload.emplace(declare.offload());
  if (parts.kv_events) kv_events.emplace(declare.kv_events());
  for (std::size_t g = 0; parts.kv_group_kinds.size() > 1 && g < parts.kv_group_kinds.size(); ++g)
    kv_group_usage_perc.push_back(&declare.kv_group_usage(g, parts.kv_group_kinds[g]));
}

EngineMetrics::EngineMetrics(MetricsRegistry* registry, const std::string& model_name, int32_t max_model_len,
                             const EngineMetricsParts& parts)
    : EngineMetrics(Declare(registry, model_name, max_model_len, parts.bounds), parts) {}

void publish_cache_config(MetricsRegistry* registry, const Labels& labels) {
  registry->gauge("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", labels).set(1);
}

}  // namespace pagoda
