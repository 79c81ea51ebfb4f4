// Scheduling that a test can count out: a step takes what its budgets hold, and every block may be used.
#pragma once
#include "contract/engine_config.h"

namespace pagoda::testing {

// Without what depends on measured times (chunks sized by them) or sets blocks aside (the watermark).
inline SchedulerConfig countable(SchedulerConfig config) {
  config.adaptive_chunks = false;
  config.watermark = 0;
  return config;
}

// Of an engine that tests drive: neither statistics in the log nor a watchdog.
inline EngineConfig countable_engine(const SchedulerConfig& scheduler) {
  return {.scheduler = countable(scheduler), .log_stats = false, .watchdog_timeout_s = 0};
}

}  // namespace pagoda::testing
