#include "engine/watchdog.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>

namespace pagoda {

void Heartbeat::plan(const StepPlan& plan) {
  std::lock_guard lock(mutex_);
  step_id_ = plan.step_id;
  num_rows_ = plan.work.size();
  num_samples_ = plan.samples.size();
  num_tokens_ = plan.num_tokens;
}

void Heartbeat::state(const SchedulerStats& stats) {
  std::lock_guard lock(mutex_);
  stats_ = stats;
}

double Heartbeat::stalled_s(Time now) const {
  const Time::rep since = working_since_.load(std::memory_order_relaxed);
  if (since == 0) return 0;
  return std::max(std::chrono::duration<double>(now - Time(Time::duration(since))).count(), 0.0);
}

std::string Heartbeat::describe(Time now) const {
  std::lock_guard lock(mutex_);
  return fmt::format(
      "step {} of {} rows, {} tokens, {} samples; {} running, {} waiting, {} deferred, {} preemptions; KV "
      "cache "
      "usage {:.1f}%; {:.1f} s since the last step",
      step_id_, num_rows_, num_tokens_, num_samples_, stats_.num_running, stats_.num_waiting,
      stats_.num_deferred, stats_.num_preemptions, stats_.kv_usage * 100, stalled_s(now));
}

Watchdog::Watchdog(double timeout_s, std::function<double()> stalled_s, std::function<void(double)> on_stall)
    : timeout_s_(timeout_s),
      stalled_s_(std::move(stalled_s)),
      on_stall_(std::move(on_stall)),
      thread_([this] { run(); }) {}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_one();
  thread_.join();
}

void Watchdog::run() {
  const std::chrono::duration<double> interval(std::clamp(timeout_s_ / 4, 0.001, 1.0));
  double seen_s = 0;  // of the stall, as far as this thread ran beside it
  std::unique_lock lock(mutex_);
  for (Time last = std::chrono::steady_clock::now();
       !stop_.wait_for(lock, interval, [this] { return stopping_; });) {
    const Time now = std::chrono::steady_clock::now();
    seen_s += std::min(std::chrono::duration<double>(now - last), 2 * interval).count();
    last = now;
    const double stalled_s = stalled_s_();
    seen_s = std::min(seen_s, stalled_s);
    if (seen_s <= timeout_s_) continue;
    lock.unlock();
    return on_stall_(stalled_s);
  }
}

}  // namespace pagoda
