// What others see of the engine: which metrics there are, and the cache's events.
#pragma once
#include <memory>
#include <span>

#include "assembly/model_options.h"
#include "base/cpu_plan.h"
#include "base/status.h"
#include "contract/engine_config.h"
#include "contract/kv_group.h"
#include "engine/kv_event_publisher.h"
#include "metrics/catalog.h"

namespace pagoda {

EngineMetricsParts metrics_parts(const ModelOptions& options, const PrefixCacheConfig& cache);

// Null where no events are asked for. Errors name --kv-events-config.
Result<std::unique_ptr<KvEventPublisher>> open_kv_events(const ModelOptions& options,
                                                         const PrefixCacheConfig& cache,
                                                         std::span<const KvGroupSpec> groups,
                                                         const CpuPlan& cpus, const EngineMetrics& metrics);

// The labels of vllm:cache_config_info: vLLM's CacheConfig as far as it has a meaning here.
Labels cache_config_labels(const ModelOptions& options, std::span<const KvGroupSpec> groups,
                           int32_t num_blocks);

}  // namespace pagoda
