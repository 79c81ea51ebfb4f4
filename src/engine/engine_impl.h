// The engine's state and its parts: engine.cc is the door, the loop and what passes through it, engine_end.cc
// how the engine gets by without memory, and how it and those inside end. Private to the engine room.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/cache_report.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "engine/engine_stats.h"
#include "engine/inbox.h"
#include "engine/publisher.h"
#include "engine/queue_meter.h"
#include "engine/watchdog.h"

namespace pagoda {

inline Time clock_now() {
  return std::chrono::steady_clock::now();
}

struct Engine::Impl {
  Impl(const EngineConfig& engine_config, std::unique_ptr<KvManager> kv_manager,
       std::unique_ptr<ModelRunner> model_runner, EngineMetrics* engine_metrics,
       std::unique_ptr<KvEventSink> kv_events)
      : config(engine_config),
        metrics(engine_metrics),
        meter(std::make_shared<QueueMeter>(engine_config.scheduler.max_num_queued_reqs,
                                           engine_config.scheduler.max_num_queued_tokens)),
        kv(std::move(kv_manager)),
        runner(std::move(model_runner)),
        scheduler(config.scheduler, kv.get()),
        control(&scheduler, kv.get(), runner.get(), metrics),
        engine_stats(metrics, config),
        cache_report(kv.get(), metrics, std::move(kv_events)),
        publisher([this](int64_t num_gone) { leave(num_gone); }) {}

  void run_thread() noexcept;
  void loop();
  bool take_inbox();
  void take_ended_moves();
  void idle();
  void leave(int64_t num_gone);
  void command(Command&& command);
  void watch();
  Status run(const StepPlan& plan);
  void publish();
  void keep_cache();
  void die(const Status& status);
  void declare_dead(const Status& status);
  void abandon() noexcept;
  bool go_without_reserve();
  void turn_away(Arrival* arrival, RequestId id) noexcept;
  void end_guest(Guest guest) noexcept;
  void end_commands();
  void end_everything(FinishReason reason, const std::string& error);
  Status refusal() const;
  Status full(const QueueMeter::Answer& answer);

  const EngineConfig config;
  EngineMetrics* const metrics;
  const std::shared_ptr<QueueMeter> meter;
  std::atomic<RequestId> next_id{1};
  Inbox inbox;

  // Shared with the callers.
  mutable std::mutex mutex;
  std::condition_variable someone_left;
  int64_t num_inside = 0;
  std::string failure;
  SchedulerStats last_stats;
  std::atomic<bool> healthy{true};
  Pulse pulse;

  // The engine thread's own.
  struct Inside {
    Guest guest;
    int32_t num_left = 0;  // choices
  };
  std::unique_ptr<KvManager> kv;
  std::unique_ptr<ModelRunner> runner;
  Scheduler scheduler;
  Control control;
  EngineStats engine_stats;
  CacheReport cache_report;
  std::unordered_map<RequestId, Inside> inside;
  std::vector<Arrival> arrivals;
  std::vector<Departure> departures;
  std::vector<Command> commands;
  std::vector<TokenEvent> events;
  Publisher::Batch batch;
  std::vector<RequestId> begun;
  std::vector<FinishedStats> finished;
  std::vector<OffloadMoveEnd> ended_moves;
  StepResult result;  // of the last step
  double step_s = 0;  // what the last run() took
  Time next_relief{};
  Publisher publisher;
  std::optional<Watchdog> watchdog;  // outlives the thread, whose end it watches too
  std::thread thread;
};

}  // namespace pagoda
