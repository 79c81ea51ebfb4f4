#include "engine/kv_telemetry.h"

namespace pagoda {

void KvTelemetry::flush() {
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

}  // namespace pagoda
