// The flags by which others look into the cache: KV events for routers, residency of blocks.
#pragma once
#include "assembly/engine_args.h"
#include "base/status.h"
#include "cli/flags.h"
#include "metrics/catalog.h"

namespace pagoda {

// --kv-events-config, vLLM's KVEventsConfig as JSON, checked field by field;
// VLLM_KV_EVENTS_USE_INT_BLOCK_HASHES.
Result<KvEventsConfig> read_kv_events(const FlagValues& flags);
// --kv-cache-metrics and its sample: the share of the blocks whose residency is measured; 0: none.
Result<double> read_residency_sample(const FlagValues& flags);
// --custom-histogram-buckets: bounds above 0 that ascend, by the names of vLLM's families.
Result<HistogramBounds> read_histogram_bounds(const FlagValues& flags);

}  // namespace pagoda
