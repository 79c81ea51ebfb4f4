#pragma once
#include <memory>

#include "assembly/engine_args.h"
#include "base/cpu_plan.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "engine/engine.h"
#include "frontend/intake.h"
#include "metrics/registry.h"

namespace pagoda {

// Everything below the HTTP server, running. Members are destroyed in reverse order: the front end before the
// engine.
struct Assembly {
  MetricsRegistry metrics;
  std::unique_ptr<EngineMetrics> engine_metrics;
  std::shared_ptr<const ModelInfo> model;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<Intake> intake;
  std::unique_ptr<TaskPool> text_pool;  // ends first: what runs on it uses the intake
  std::size_t weight_bytes = 0;
  CpuPlan cpus;  // threads besides the compute threads belong on cpus.spare
};

// Loads and starts. Errors say what was wrong and which flag or file mends it. Logs vLLM's start-up lines (KV
// cache memory, cache size in tokens, maximum concurrency).
Result<std::unique_ptr<Assembly>> assemble(const EngineArgs& args);

}  // namespace pagoda
