#include "engine/kv_telemetry.h"

namespace pagoda {

void KvTelemetry::flush() {
  if (kv_events_) {
    kv_->take_events(&events_);
    if (!events_.empty()) kv_events_->publish(std::move(events_));
    events_.clear();
  }
  if (!metrics_->block_lives) return;
  kv_->take_lives(&lives_);
  BlockLifeMetrics& metrics = *metrics_->block_lives;
  for (const BlockLife& life : lives_) {
    metrics.lifetime.observe(life.lifetime_s);
    metrics.idle_before_evict.observe(life.idle_s);
    for (double gap : life.reuse_gaps_s) metrics.reuse_gap.observe(gap);
  }
  lives_.clear();
}

}  // namespace pagoda
