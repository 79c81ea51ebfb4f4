// Feeds the metrics from the values that the scheduler hands up, and writes the periodic log line. Engine
// thread only. Private to the engine room.
#pragma once
#include <cstdint>
#include <deque>
#include <span>
#include <string>

#include "contract/engine_config.h"
#include "metrics/catalog.h"
#include "schedule/scheduler.h"

namespace pagoda {

// The share of hits among the last requests that asked a cache, as vLLM's log line has it: old requests stop
// to count once kRequestsMax newer ones have asked.
class RecentHitRate {
 public:
  void add(uint64_t requests, uint64_t queries, uint64_t hits) {
    if (requests == 0 && queries == 0 && hits == 0) return;
    if (requests == 0 && !updates_.empty()) {  // more of what an earlier one has asked for
      Update& last = updates_.back();
      last = {last.requests, last.queries + queries, last.hits + hits};
    } else {
      updates_.push_back({requests, queries, hits});
    }
    sum_ = {sum_.requests + requests, sum_.queries + queries, sum_.hits + hits};
    while (updates_.size() > 1 && sum_.requests > kRequestsMax) {
      const Update& oldest = updates_.front();
      sum_ = {sum_.requests - oldest.requests, sum_.queries - oldest.queries, sum_.hits - oldest.hits};
      updates_.pop_front();
    }
  }
  double value() const {
    return sum_.queries == 0 ? 0 : static_cast<double>(sum_.hits) / static_cast<double>(sum_.queries);
  }

 private:
  static constexpr uint64_t kRequestsMax = 1000;
  struct Update {
    uint64_t requests = 0, queries = 0, hits = 0;
  };
  std::deque<Update> updates_;
  Update sum_;
};

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
