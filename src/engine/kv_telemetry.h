// Carries out of the cache's bookkeeping what leaves the engine: events to routers, residencies of blocks to
// the metrics. Engine thread, once a step. Private to the engine room.
#pragma once
#include <memory>
#include <utility>
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

  void flush() {
    if (kv_events_) {
      kv_->take_events(&events_);
      if (!events_.empty()) kv_events_->publish(std::move(events_));
      events_.clear();
    }
    if (!metrics_->block_residency) return;
    kv_->take_residencies(&residencies_);
    BlockResidencyMetrics& metrics = *metrics_->block_residency;
    for (const BlockResidency& residency : residencies_) {
      metrics.lifetime.observe(residency.lifetime_s);
      metrics.idle_before_evict.observe(residency.idle_s);
      for (double gap : residency.reuse_gaps_s) metrics.reuse_gap.observe(gap);
    }
    residencies_.clear();
  }

 private:
  KvManager* const kv_;
  EngineMetrics* const metrics_;
  const std::unique_ptr<KvEventSink> kv_events_;
  std::vector<KvEvent> events_;
  std::vector<BlockResidency> residencies_;
};

}  // namespace pagoda
