// Notices an engine thread that has stopped: Heartbeat is what that thread says of itself, Watchdog the
// thread that listens. Private to the engine room.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "contract/step_plan.h"
#include "schedule/scheduler.h"

namespace pagoda {

// Written by the engine thread, read by any.
class Heartbeat {
 public:
  // There is work, and a step of it has just been made or is about to be begun.
  void tick(Time now) { working_since_.store(now.time_since_epoch().count(), std::memory_order_relaxed); }
  // There is work, which has not gone on: the time since the last tick counts.
  void mark_pending(Time now) {
    if (working_since_.load(std::memory_order_relaxed) == 0) tick(now);
  }
  // Nothing to do, or told to do nothing.
  void idle() { working_since_.store(0, std::memory_order_relaxed); }
  void plan(const StepPlan& plan);
  void state(const SchedulerStats& stats);

  // How long work has stood still; 0 when idle.
  double stalled_s(Time now) const;
  // For the log line that says why.
  std::string describe(Time now) const;

 private:
  std::atomic<Time::rep> working_since_{0};
  mutable std::mutex mutex_;  // guards the rest
  uint64_t step_id_ = 0;
  std::size_t num_rows_ = 0, num_samples_ = 0;
  int32_t num_tokens_ = 0;
  SchedulerStats stats_;
};

// Calls on_stall once, on a thread of its own, when stalled_s() has passed timeout_s: time in which that
// thread did not run either does not count (the process was stopped, or starved, and is no worse for it).
class Watchdog {
 public:
  Watchdog(double timeout_s, std::function<double()> stalled_s, std::function<void(double)> on_stall);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void run();

  const double timeout_s_;
  const std::function<double()> stalled_s_;
  const std::function<void(double)> on_stall_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pagoda
