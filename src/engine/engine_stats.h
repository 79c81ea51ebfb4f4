// Feeds the metrics from the values that the scheduler hands up, and writes the periodic log line. Engine
// thread only. Private to the engine room.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "contract/engine_config.h"
#include "engine/recent_hit_rate.h"
#include "metrics/catalog.h"
#include "schedule/scheduler.h"

namespace pagoda {

class EngineStats {
 public:
  EngineStats(EngineMetrics* metrics, const EngineConfig& config);

  // step_s: in the runner; scheduler_s: planning and committing.
  void on_step(const StepStats& step, double step_s, double scheduler_s);
  void on_finished(std::span<const FinishedStats> finished);
  // Gauges and totals.
  void on_state(const SchedulerStats& state);

  // Writes the log line if its time has come: every interval while tokens flow, and once more when they have
  // stopped.
  void maybe_log(Time now, const SchedulerStats& state);
  // When maybe_log wants to be called again; Time::max(): not before the next step.
  Time next_log() const;
  // The line that maybe_log would write, and the end of its interval.
  std::string log_line(Time now, const SchedulerStats& state);

 private:
  EngineMetrics* metrics_;
  const bool log_stats_;
  const Time::duration interval_;
  void on_offload(const OffloadStats& offload);

  SchedulerStats last_state_;
  RecentHitRate prefix_hit_rate_, offload_hit_rate_;
  // The interval of the log line.
  Time begin_{};
  int64_t num_prompt_ = 0, num_generated_ = 0;
  bool silent_ = true;  // nothing has happened since a line that said so
};

}  // namespace pagoda
