// What others see of the engine: which metrics there are, and the cache's events.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "assembly/engine_args.h"
#include "assembly/memory_plan.h"
#include "base/cpu_plan.h"
#include "base/status.h"
#include "contract/engine_config.h"
#include "contract/kv_group.h"
#include "kv_events/kv_event_publisher.h"
#include "metrics/catalog.h"

namespace pagoda {

// What the metrics tell of the engine beside the flags.
struct Observed {
  std::string model_name;
  int32_t max_model_len;
  MemoryPlan memory;
  PrefixCacheConfig cache;
  std::span<const KvGroupSpec> groups;
};
// The engine's metrics with the parts that it has, vllm:cache_config_info, and the process's.
std::unique_ptr<EngineMetrics> declare_metrics(MetricsRegistry* registry, const EngineArgs& args,
                                               const Observed& engine);

// Null where no events are asked for. Errors name --kv-events-config.
Result<std::unique_ptr<KvEventPublisher>> open_kv_events(const KvEventsConfig& config,
                                                         const PrefixCacheConfig& cache,
                                                         std::span<const KvGroupSpec> groups,
                                                         const CpuPlan& cpus, const EngineMetrics& metrics);

}  // namespace pagoda
