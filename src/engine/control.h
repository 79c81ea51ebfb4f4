// Pausing, sleeping and forgetting: what the engine is told to do beside its requests. Engine thread only,
// but for is_paused() and is_sleeping(). Private to the engine room.
#pragma once
#include <atomic>
#include <utility>
#include <vector>

#include "engine/inbox.h"
#include "kv/kv_manager.h"
#include "metrics/catalog.h"
#include "runner/model_runner.h"
#include "schedule/scheduler.h"

namespace pagoda {

class Control {
 public:
  Control(Scheduler* scheduler, KvManager* kv, ModelRunner* runner, EngineMetrics* metrics)
      : scheduler_(scheduler), kv_(kv), runner_(runner), metrics_(metrics) {}

  // Requires: no plan in flight. Events of what it ends go to `out`.
  void take(Command&& command, Time now, std::vector<TokenEvent>* out);
  // Calls what is done; after the events of take() and of the last step have left. `drained`: no plan is in
  // flight.
  void answer(bool drained);
  // The engine has ended: nothing more is done.
  void end(const Status& why);

  // No step may be planned.
  bool is_halted() const { return frozen_ || is_sleeping(); }
  bool is_paused() const { return paused_.load(std::memory_order_relaxed); }
  bool is_sleeping() const { return sleep_level_.load(std::memory_order_relaxed) > 0; }

 private:
  void pause(Command&& command, Time now, std::vector<TokenEvent>* out);
  Status resume();
  Status sleep(int level);
  Status wake_up(const Command& command);
  void show_sleep(int level);
  bool none_run() const { return scheduler_->stats().num_running == 0; }

  Scheduler* const scheduler_;
  KvManager* const kv_;
  ModelRunner* const runner_;
  EngineMetrics* const metrics_;
  bool frozen_ = false;  // paused with running sequences left as they were
  std::atomic<bool> paused_{false};
  std::atomic<int> sleep_level_{0};
  bool weights_awake_ = true, kv_awake_ = true;  // as asked for
  std::vector<Command> waiting_;                 // pauses until no request runs
  std::vector<std::pair<Engine::Done, Status>> done_;
};

}  // namespace pagoda
