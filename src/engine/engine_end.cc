// How the engine gets by without memory, and how it and its requests end.
#include <cstdlib>
#include <new>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "engine/engine_impl.h"

namespace pagoda {

// Nothing that is thrown leaves the thread: each request ends with an error, and the engine is dead.
void Engine::Impl::run_thread() noexcept {
  let_this_thread_use_the_reserve();
  try {
    try {
      loop();
    } catch (...) {
      declare_dead(status_of_exception());
      throw;
    }
  } catch (...) {
    healthy.store(false);  // also where there was no memory to say why: the process ends by this
    abandon();
  }
}

// Without a reserve no step is begun, for half way through it there might be no memory. Active requests may
// come, go and run out of time, as far as there is memory for that; and the one that asked for most is ended.
// Its memory comes back when its client has been told, so there is a pause before the next one.
bool Engine::Impl::go_without_reserve() {
  constexpr std::chrono::milliseconds kPause{50}, kTryAgain{5};
  bool go_on = true;
  try {
    go_on = take_inbox();
    const Time now = clock_now();
    scheduler.expire(now, &events);
    if (now >= next_relief) {
      next_relief = now + kPause;
      scheduler.fail_largest(now, &events);
    }
    publish();
  } catch (const std::bad_alloc&) {  // what was not done is tried again
  }
  if (go_on) std::this_thread::sleep_for(kTryAgain);
  return go_on;
}

// Comes while there is no memory for it.
void Engine::Impl::turn_away(Arrival* arrival, RequestId id) noexcept {
  if (auto it = active.find(id); it != active.end()) {
    if (it->second.sink != nullptr) arrival->sink = std::move(it->second.sink);
    active.erase(it);  // and gives its places back
  }
  std::exchange(arrival->sink, nullptr)->on_lost();
  release(1);
}

// What has been computed outlives the process, where there is an offload disk.
void Engine::Impl::keep_cache() {
  if (runner->is_sleeping()) return;
  StepPlan plan;
  plan.step_id = UINT64_MAX;
  take_ended_moves();
  kv->flush_to_disk();
  kv->take_moves(&plan.moves);
  if (plan.empty()) return;
  Status done = runner->launch(plan);
  if (done.ok()) done = runner->wait(plan.step_id, &result);
  if (!done.ok()) log_warning("the cache is not kept: {}", done.message());
}

// Requests that arrived before the inbox closed get the event too.
void Engine::Impl::end_everything(FinishReason reason, const std::string& error) {
  inbox.finish();
  take_inbox();
  scheduler.abort_all(reason, error, clock_now(), &events);
  publish();
  end_commands();
  heartbeat.idle();
}

void Engine::Impl::die(const Status& status) {
  declare_dead(status);
  end_everything(FinishReason::kError, status.message());
}

void Engine::Impl::declare_dead(const Status& status) {
  {
    std::lock_guard lock(mutex);
    failure = status.message();
  }
  healthy.store(false);
  log_error("the engine has died: {}", status.message());
}

void Engine::Impl::end_commands() {
  const Status ended(StatusCode::kUnavailable, "the engine has ended");
  for (int i = 0; i < 2; ++i) {  // what had been taken, and what has come since
    for (Command& command : commands)
      if (command.done) command.done(ended);
    commands.clear();
    inbox.take(&arrivals, &cancellations, &commands);
  }
  control.end(ended);
}

// After an exception: the scheduler's state may be inconsistent and is not read. Ends every request that this
// class itself knows to be active; allocates nothing where there is no memory.
void Engine::Impl::abandon() noexcept {
  inbox.finish();
  batch.clear();
  for (auto& [id, request] : active)
    if (request.sink != nullptr) end_request(std::move(request));
  active.clear();
  for (int i = 0; i < 2; ++i) {  // what had been taken, and what has come since
    for (Arrival& arrival : arrivals)
      if (arrival.sink != nullptr) end_request({std::move(arrival.sink), std::move(arrival.ticket)});
    arrivals.clear();
    inbox.take(&arrivals, &cancellations, &commands);
  }
  publisher.hand_over(&batch);
  heartbeat.idle();
  try {
    end_commands();
  } catch (...) {
    log_error("the engine has died, and not all that wait for a command could be told");
  }
}

void Engine::Impl::end_request(ActiveRequest request) noexcept {
  const std::size_t before = batch.events.size();
  try {
    TokenEvent event;
    event.finish = FinishReason::kError;
    event.error = "the engine has died";
    batch.add(std::move(event), request.sink.get());
    batch.finished.push_back(std::move(request));
  } catch (const std::bad_alloc&) {
    batch.events.resize(before);
    batch.sinks.resize(before);
    request.sink->on_lost();
    release(1);
  }
}

// A thread that hangs in a kernel or a system call cannot be ended from here: the process exits, and its
// supervisor restarts it.
void Engine::Impl::watch() {
  if (config.watchdog_timeout_s <= 0) return;
  auto stalled_s = [this] { return heartbeat.stalled_s(clock_now()); };
  watchdog.emplace(config.watchdog_timeout_s, stalled_s, [this](double) {
    log_error("The engine hangs, and the process ends: {}{}{}{}.", heartbeat.describe(clock_now()),
              healthy.load() ? "" : "; it has failed", control.is_paused() ? "; paused" : "",
              control.is_sleeping() ? "; asleep" : "");
    flush_log(std::chrono::seconds(1));
    std::_Exit(1);
  });
}

}  // namespace pagoda
