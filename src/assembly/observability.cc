#include "assembly/observability.h"

#include <algorithm>

#include "base/json.h"
#include "base/log.h"
#include "metrics/process_metrics.h"

namespace pagoda {
namespace {

std::string python_bool(bool value) {
  return value ? "True" : "False";
}
template <class T>
std::string or_none(const std::optional<T>& value) {
  return value ? std::to_string(*value) : "None";
}

// As vLLM's KV events name them.
const char* kind_name(KvKind kind) {
  constexpr const char* kNames[] = {"full_attention", "sliding_window", "mla_attention", "mamba"};
  return kNames[static_cast<std::size_t>(kind)];
}

const char* algo_name(BlockHashAlgo algo) {
  return std::ranges::find(kBlockHashAlgos, algo, &std::pair<const char*, BlockHashAlgo>::second)->first;
}

// vLLM's CacheConfig; of what it has for other kinds of models and caches, that there is none.
Labels cache_config_labels(const CacheArgs& args, const Observed& engine) {
  int32_t window = 0;
  for (const KvGroupSpec& group : engine.groups) window = std::max(window, group.window);
  const double offloaded = args.offload.memory_gib;
  return {{"_block_size_resolved", "True"},
          {"block_size", std::to_string(args.block_size)},
          {"cache_dtype", args.kv_cache_dtype},
          {"cache_hit_alignment_tokens", "None"},
          {"effective_attention_block_size", std::to_string(args.block_size)},
          {"enable_mamba_shared_prefix_checkpoint", "False"},
          {"enable_prefix_caching", python_bool(args.prefix_cache.enabled)},
          {"engine", "0"},
          {"gpu_memory_utilization", python_float_repr(args.gpu_memory_utilization)},
          {"hash_block_size", "None"},
          {"is_attention_free", "False"},
          {"kv_cache_dtype_skip_layers", "[]"},
          {"kv_cache_layout", "None"},
          {"kv_cache_max_concurrency", python_float_repr(engine.memory.max_concurrency)},
          {"kv_cache_memory_bytes", or_none(args.kv_cache_memory_bytes)},
          {"kv_cache_size_tokens", std::to_string(engine.memory.num_tokens)},
          {"kv_offloading_backend", "native"},
          {"kv_offloading_size", offloaded > 0 ? python_float_repr(offloaded) : "None"},
          {"kv_sharing_fast_prefill", "False"},
          {"mamba_block_size", "None"},
          {"mamba_cache_dtype", "auto"},
          {"mamba_cache_mode", "none"},
          {"mamba_page_size_padded", "None"},
          {"mamba_ssm_cache_dtype", "auto"},
          {"num_cpu_blocks",
           engine.cache.offload_slots > 0 ? std::to_string(engine.cache.offload_slots) : "None"},
          {"num_gpu_blocks", std::to_string(engine.memory.num_blocks)},
          {"num_gpu_blocks_override", or_none(args.num_gpu_blocks_override)},
          {"prefix_cache_retention_interval", std::to_string(args.prefix_cache_retention_interval)},
          {"prefix_caching_hash_algo", algo_name(args.prefix_cache.hash_algo)},
          {"prefix_match_unit", or_none(args.prefix_match_unit)},
          {"replayssm_buffer_len", "16"},
          {"skip_page_size_padded", "None"},
          {"sliding_window", window > 0 ? std::to_string(window) : "None"},
          {"swa_bounded_replay", python_bool(args.swa_bounded_replay)},
          {"use_kda_recoverssm", "False"},
          {"use_replayssm", "False"},
          {"user_specified_block_size", python_bool(args.block_size_is_given)}};
}

}  // namespace

std::unique_ptr<EngineMetrics> declare_metrics(MetricsRegistry* registry, const EngineArgs& args,
                                               const Observed& engine) {
  const PrefixCacheConfig& cache = engine.cache;
  std::vector<std::string> kinds;
  for (const KvGroupSpec& group : engine.groups) kinds.push_back(kind_name(group.kind));
  const EngineMetricsParts parts = {.block_residency = cache.residency_sample > 0,
                                    .offload = cache.offload_slots > 0,
                                    .kv_events = args.observability.kv_events.enabled,
                                    .kv_group_kinds = std::move(kinds),
                                    .bounds = args.observability.histogram_bounds};
  auto metrics = std::make_unique<EngineMetrics>(registry, engine.model_name, engine.max_model_len, parts);
  if (metrics->offload) {
    const auto slot_bytes = static_cast<double>(engine.groups.front().block_bytes);
    metrics->offload->capacity_bytes.set(slot_bytes * cache.offload_slots);
  }
  publish_cache_config(registry, cache_config_labels(args.cache, engine));
  add_process_metrics(registry);
  return metrics;
}

Result<std::unique_ptr<KvEventPublisher>> open_kv_events(const KvEventsConfig& config,
                                                         const PrefixCacheConfig& cache,
                                                         std::span<const KvGroupSpec> groups,
                                                         const CpuPlan& cpus, const EngineMetrics& metrics) {
  if (!config.enabled) return std::unique_ptr<KvEventPublisher>();
  if (!cache.enabled) log_warning("KV events are on, but the prefix cache is off: there will be none.");
  constexpr int32_t kXxhashBytes = 16, kSha256Bytes = 32;
  const KvEventFormat format = {
      .array_events = config.array_events,
      .int_hashes = config.int_hashes,
      .hash_bytes = is_xxhash(cache.hash_algo) ? kXxhashBytes : kSha256Bytes,
      .window = groups.front().window};
  CpuBinding off_the_compute_cores(cpus.spare);
  PAGODA_TRY(auto publisher, KvEventPublisher::open(config, format, *metrics.kv_events));
  log_info("KV events are published at {}{}", publisher->endpoint(),
           config.replay_endpoint.empty() ? "" : ", replayed at " + publisher->replay_endpoint());
  return publisher;
}

}  // namespace pagoda
