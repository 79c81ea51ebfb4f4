// Carries out of the cache's bookkeeping what leaves the engine: events to routers, residencies of blocks to
// the metrics. Engine thread, once a step. Private to the engine room.
#pragma once
#include <memory>
#include <vector>

#include "contract/kv_event.h"
#include "kv/kv_manager.h"
#include "metrics/catalog.h"

namespace pagoda {

class KvTelemetry {
 public:
  // `kv_events` may be null.
  KvTelemetry(KvManager* kv, EngineMetrics* metrics, std::unique_ptr<KvEventSink> kv_events)
      : kv_(kv), metrics_(metrics), kv_events_(std::move(kv_events)) {}

  void flush();

 private:
  KvManager* const kv_;
  EngineMetrics* const metrics_;
  const std::unique_ptr<KvEventSink> kv_events_;
  std::vector<KvEvent> events_;
  std::vector<BlockResidency> residencies_;
};

}  // namespace pagoda
