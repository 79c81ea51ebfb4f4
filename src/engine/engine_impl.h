// The engine's state and its parts: engine.cc is the door, the loop and what passes through it, engine_end.cc
// how the engine gets by without memory, and how it and its requests end. Private to the engine room.
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

#include "engine/admission_limiter.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "engine/engine_stats.h"
#include "engine/inbox.h"
#include "engine/kv_telemetry.h"
#include "engine/publisher.h"
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
        limiter(std::make_shared<AdmissionLimiter>(engine_config.scheduler.max_num_queued_reqs,
                                                   engine_config.scheduler.max_num_queued_tokens)),
        kv(std::move(kv_manager)),
        scheduler(config.scheduler, kv.get()),
        runner(std::move(model_runner)),
        max_in_flight(
            static_cast<std::size_t>(std::min(config.scheduler.max_in_flight, runner->max_in_flight()))),
        control(&scheduler, kv.get(), runner.get(), metrics),
        engine_stats(metrics, config),
        kv_telemetry(kv.get(), metrics, std::move(kv_events)),
        publisher([this](int64_t num_released) { release(num_released); }) {}

  void run_thread() noexcept;
  void loop();
  bool take_inbox();
  void take_ended_moves();
  void idle();
  void release(int64_t num_requests);
  void command(Command&& command);
  void watch();
  Status plan_step(bool* planned);
  Status finish_step();
  void publish();
  void keep_cache();
  void die(const Status& status);
  void declare_dead(const Status& status);
  void abandon() noexcept;
  bool go_without_reserve();
  void turn_away(Arrival* arrival, RequestId id) noexcept;
  void end_request(ActiveRequest request) noexcept;
  void end_commands();
  void end_everything(FinishReason reason, const std::string& error);
  Status refusal() const;
  Status full(const AdmissionLimiter::Admission& answer);

  const EngineConfig config;
  EngineMetrics* const metrics;
  const std::shared_ptr<AdmissionLimiter> limiter;
  std::atomic<RequestId> next_id{1};
  Inbox inbox;

  // Shared with the callers.
  mutable std::mutex mutex;
  std::condition_variable drained;
  int64_t num_active = 0;
  std::string failure;
  SchedulerStats last_stats;
  std::atomic<bool> healthy{true};
  Heartbeat heartbeat;

  // The engine thread's own.
  struct InFlight {
    const StepPlan* plan;
    Time launched_at;
    double plan_s;  // what planning it took
  };
  std::unique_ptr<KvManager> kv;
  Scheduler scheduler;
  std::unique_ptr<ModelRunner> runner;  // destroyed before the scheduler, whose plans it may still be reading
  const std::size_t max_in_flight;
  std::vector<InFlight> in_flight;  // launched and not committed, in order
  Control control;
  EngineStats engine_stats;
  KvTelemetry kv_telemetry;
  std::unordered_map<RequestId, ActiveRequest> active;
  std::vector<Arrival> arrivals;
  std::vector<Cancellation> cancellations;
  std::vector<Command> commands;
  std::vector<TokenEvent> events;
  Publisher::Batch batch;
  std::vector<RequestId> begun;
  std::vector<FinishedStats> finished;
  std::vector<OffloadMoveEnd> ended_moves;
  StepResult result;  // of the last step
  Time result_at{};   // of the last step
  Time next_relief{};
  Publisher publisher;
  std::optional<Watchdog> watchdog;  // outlives the thread, whose end it watches too
  std::thread thread;
};

}  // namespace pagoda
