#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/log.h"
#include "base/memory_reserve.h"
#include "engine/cache_report.h"
#include "engine/control.h"
#include "engine/engine_stats.h"
#include "engine/inbox.h"
#include "engine/publisher.h"
#include "engine/queue_meter.h"
#include "engine/watchdog.h"

namespace pagoda {
namespace {

Time clock_now() {
  return std::chrono::steady_clock::now();
}

double seconds(Time::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct Engine::Impl {
  Impl(const EngineConfig& engine_config, std::unique_ptr<KvManager> kv_manager,
       std::unique_ptr<ModelRunner> model_runner, EngineMetrics* engine_metrics,
       std::unique_ptr<KvEventPublisher> kv_events)
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
  void idle();
  void leave(int64_t num_gone);
  void command(Command&& command);
  void watch();
  Status run(const StepPlan& plan);
  void publish();
  void keep_cache();
  void die(const Status& status);
  void declare_dead(const Status& status);
  void abandon(const Status& status);
  void relieve_memory();
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
  StepResult result;  // of the last step
  double step_s = 0;  // what the last run() took
  Time next_relief{};
  Publisher publisher;
  std::optional<Watchdog> watchdog;  // outlives the thread, whose end it watches too
  std::thread thread;
};

// Nothing that is thrown leaves the thread: those inside hear of it, and the engine is dead.
void Engine::Impl::run_thread() noexcept {
  let_this_thread_use_the_reserve();
  try {
    try {
      loop();
    } catch (...) {
      healthy.store(false);  // before anything that needs memory: the process ends by this
      abandon(status_of_exception());
    }
  } catch (...) {
    healthy.store(false);
    log_error("the engine has died, and not all of those inside could be told");
  }
}

// The heart. A step that ends a request frees its blocks before anyone else is planned.
void Engine::Impl::loop() {
  while (take_inbox()) {
    if (memory_is_short()) [[unlikely]]
      relieve_memory();
    if (control.is_halted()) {
      scheduler.expire(clock_now(), &events);
      idle();
      continue;
    }
    pulse.wait(clock_now());
    const Time begin = clock_now();
    kv->begin_step(begin);
    StepPlan& plan = scheduler.plan(begin, &events);
    if (plan.empty()) {
      idle();
      continue;
    }
    pulse.plan(plan);
    const Time planned = clock_now();
    if (Status done = run(plan); !done.ok()) return die(done);
    const Time ran = clock_now();
    scheduler.commit(plan, result, ran, &events);
    engine_stats.on_step(scheduler.last_step(), step_s, seconds(planned - begin + (clock_now() - ran)));
    publish();
    pulse.beat(clock_now());
  }
  end_everything(FinishReason::kAbort, {});
  keep_cache();
}

void Engine::Impl::idle() {
  publish();
  // Someone could run, and nobody does: time in which that is so counts as a stall.
  if (control.is_halted() || control.is_paused() || !scheduler.has_work()) pulse.rest();
  inbox.wait_until(std::min(scheduler.next_deadline(), engine_stats.next_log()));
}

bool Engine::Impl::take_inbox() {
  bool go_on = inbox.take(&arrivals, &departures, &commands);
  for (Arrival& arrival : arrivals) {
    Inside& place = inside[arrival.request->id];  // allocates before anything is moved
    place = {{std::move(arrival.sink), std::move(arrival.slot)}, arrival.request->n};
    scheduler.submit(std::move(arrival.request), clock_now(), &events);
  }
  for (const Departure& departure : departures) {
    if (departure.choice < 0)
      scheduler.cancel(departure.id, clock_now(), &events);
    else
      scheduler.finish(departure.id, departure.choice, clock_now(), &events);
  }
  for (Command& command : commands) {
    control.take(std::move(command), clock_now(), &events);
    command.done = nullptr;
  }
  return go_on;
}

Status Engine::Impl::run(const StepPlan& plan) {
  Time begin = clock_now();
  PAGODA_RETURN_IF_ERROR(runner->launch(plan));
  Status done = runner->wait(plan.step_id, &result);
  step_s = seconds(clock_now() - begin);
  return done;
}

// Everything that the last call of the scheduler has brought: numbers to the metrics, events to the
// publisher. A slot is free, and drain() done, only after the last event is out.
void Engine::Impl::publish() {
  begun.clear();
  scheduler.take_begun(&begun);
  for (RequestId id : begun)
    if (auto it = inside.find(id); it != inside.end()) it->second.guest.slot.begin();
  finished.clear();
  scheduler.take_finished(&finished);
  engine_stats.on_finished(finished);
  SchedulerStats now = scheduler.stats();
  engine_stats.on_state(now);
  engine_stats.maybe_log(clock_now(), now);
  cache_report.tell();
  pulse.state(now);
  {
    std::lock_guard lock(mutex);
    last_stats = now;
  }
  if (!events.empty()) {
    for (const TokenEvent& event : events) {
      auto it = inside.find(event.id);
      PAGODA_CHECK(it != inside.end(), "an event of a request that has ended");
      batch.sinks.push_back(it->second.guest.sink.get());
      if (event.finish == FinishReason::kNone || --it->second.num_left > 0) continue;
      batch.gone.push_back(std::move(it->second.guest));
      inside.erase(it);
    }
    batch.events.swap(events);
    publisher.hand_over(&batch);
  }
  control.answer();
}

// The publisher's thread: their last events are out.
void Engine::Impl::leave(int64_t num_gone) {
  std::lock_guard lock(mutex);
  num_inside -= num_gone;
  if (num_inside == 0) someone_left.notify_all();
}

void Engine::Impl::command(Command&& command) {
  if (!inbox.command(std::move(command)))
    command.done({StatusCode::kUnavailable, "the engine has ended and takes no commands"});
}

// What has been computed outlives the process, where the cache has a folder behind it.
void Engine::Impl::keep_cache() {
  if (runner->is_sleeping()) return;
  StepPlan plan;
  plan.step_id = UINT64_MAX;
  kv->keep_cached();
  kv->take_moves(false, &plan.moves);
  if (plan.empty()) return;
  if (Status done = run(plan); !done.ok()) log_warning("the cache is not kept: {}", done.message());
}

// Whoever has come in until the inbox closed gets the event too.
void Engine::Impl::end_everything(FinishReason reason, const std::string& error) {
  inbox.finish();
  take_inbox();
  scheduler.abort_all(reason, error, clock_now(), &events);
  publish();
  control.end({StatusCode::kUnavailable, "the engine has ended"});
  pulse.rest();
}

void Engine::Impl::die(const Status& status) {
  declare_dead(status);
  end_everything(FinishReason::kError, status.message());
}

void Engine::Impl::declare_dead(const Status& status) {
  healthy.store(false);
  log_error("the engine has died: {}", status.message());
  {
    std::lock_guard lock(mutex);
    failure = status.message();
  }
}

// After an exception in the middle of something: the books may not be looked at any more, so it ends whoever
// it knows to be inside by what it has of them itself.
void Engine::Impl::abandon(const Status& status) {
  declare_dead(status);
  inbox.finish();
  batch.events.clear();
  batch.sinks.clear();
  for (auto& [id, one] : inside)
    if (one.guest.sink != nullptr) batch.gone.push_back(std::move(one.guest));
  inside.clear();
  const Status ended(StatusCode::kUnavailable, "the engine has ended");
  for (int i = 0; i < 2; ++i) {  // what had been taken, and what has come since
    for (Arrival& arrival : arrivals)
      if (arrival.sink != nullptr) batch.gone.push_back({std::move(arrival.sink), std::move(arrival.slot)});
    for (Command& command : commands)
      if (command.done) command.done(ended);
    inbox.take(&arrivals, &departures, &commands);
  }
  for (const Guest& guest : batch.gone) {
    TokenEvent event;
    event.finish = FinishReason::kError;
    event.error = status.message();
    batch.add(std::move(event), guest.sink.get());
  }
  publisher.hand_over(&batch);
  control.end(ended);
  pulse.rest();
}

// The reserve was given out: somebody has to go, and who asked for most goes first. Its memory comes back
// when its client has been told, so there is a pause before the next one.
void Engine::Impl::relieve_memory() {
  constexpr std::chrono::milliseconds kPause{50};
  if (keep_memory_reserve() || clock_now() < next_relief) return;
  next_relief = clock_now() + kPause;
  scheduler.fail_largest("there is too little memory for this request", clock_now(), &events);
}

// A thread that hangs in a kernel or a system call can not be ended from here: the process ends, and whoever
// supervises it starts another.
void Engine::Impl::watch() {
  if (config.watchdog_timeout_s <= 0) return;
  auto stalled_s = [this] { return pulse.stalled_s(clock_now()); };
  watchdog.emplace(config.watchdog_timeout_s, stalled_s, [this](double) {
    log_error("The engine hangs, and the process ends: {}{}{}{}.", pulse.describe(clock_now()),
              healthy.load() ? "" : "; it has failed", control.is_paused() ? "; paused" : "",
              control.is_sleeping() ? "; asleep" : "");
    flush_log(std::chrono::seconds(1));
    std::_Exit(1);
  });
}

Status Engine::Impl::refusal() const {
  if (!healthy.load()) return {StatusCode::kUnavailable, "the engine has failed and takes no requests"};
  return {StatusCode::kUnavailable, "the server is shutting down and takes no new requests"};
}

Status Engine::Impl::full(const QueueMeter::Answer& answer) {
  const bool tokens = answer.lack == QueueMeter::Lack::kTokens;
  (tokens ? metrics->rejected_queue_tokens : metrics->rejected_queue_full).add();
  std::string what = tokens ? fmt::format("{} prompt tokens, --max-num-queued-tokens", meter->max_tokens())
                            : fmt::format("{} choices, --max-num-queued-reqs", meter->max_choices());
  return Status(StatusCode::kExhausted, "the server's queue is full (" + what + "): try again later")
      .with_retry_after_ms(answer.retry_after_ms);
}

Engine::Engine(const EngineConfig& config, std::unique_ptr<KvManager> kv, std::unique_ptr<ModelRunner> runner,
               EngineMetrics* metrics, std::unique_ptr<KvEventPublisher> kv_events)
    : impl_(std::make_unique<Impl>(config, std::move(kv), std::move(runner), metrics, std::move(kv_events))) {
  impl_->watch();
  impl_->thread = std::thread([impl = impl_.get()] { impl->run_thread(); });
}

Engine::~Engine() {
  impl_->inbox.stop();
  impl_->thread.join();
}

Result<Engine::Slot> Engine::reserve(int64_t choices, const Tenant& tenant, GiveWay give_way) {
  if (impl_->inbox.is_closed()) return impl_->refusal();
  const int32_t limit = impl_->meter->max_choices();
  if (choices > limit) {
    return invalid_argument(
        fmt::format("n: the request asks for {} choices, the server's queue holds at most {} "
                    "(--max-num-queued-reqs)",
                    choices, limit),
        "n");
  }
  const auto count = static_cast<int32_t>(choices);
  QueueMeter::GiveWay lost;
  if (give_way)
    lost = [impl = impl_.get(), tell = std::move(give_way)](const QueueMeter::Answer& answer) {
      tell(impl->full(answer));
    };
  std::shared_ptr<QueueClaim> claim;
  QueueMeter::Answer answer = impl_->meter->take_choices(tenant, count, clock_now(), std::move(lost), &claim);
  if (answer.lack != QueueMeter::Lack::kNothing) return impl_->full(answer);
  return Slot(impl_->meter, std::move(claim), count);
}

Status Engine::reserve_tokens(Slot* slot, int64_t num_prompt_tokens) {
  const int64_t limit = impl_->meter->max_tokens();
  if (limit > 0 && num_prompt_tokens > limit) {
    return invalid_argument(fmt::format("the prompt has {} tokens, but the server's queue holds {} "
                                        "(--max-num-queued-tokens)",
                                        num_prompt_tokens, limit),
                            "prompt");
  }
  QueueMeter::Answer answer = impl_->meter->take_tokens(slot->claim_.get(), num_prompt_tokens, clock_now());
  if (answer.lack != QueueMeter::Lack::kNothing) return impl_->full(answer);
  slot->tokens_ += num_prompt_tokens;
  return Status::ok_status();
}

Status Engine::check_deadline(Time deadline) const {
  if (deadline == Time::max() || clock_now() < deadline) return Status::ok_status();
  impl_->metrics->rejected_deadline.add();
  return {StatusCode::kTimeout, "The request's time ran out before it could begin: the server is busy."};
}

RequestId Engine::next_request_id() {
  return impl_->next_id.fetch_add(1, std::memory_order_relaxed);
}

Status Engine::submit(std::unique_ptr<Request> request, Slot slot, std::shared_ptr<EventSink> sink) {
  if (request->arrival == Time{}) request->arrival = clock_now();
  PAGODA_RETURN_IF_ERROR(check_deadline(request->deadline));
  {
    std::lock_guard lock(impl_->mutex);
    ++impl_->num_inside;
  }
  slot.served_ = true;
  request->goes_ahead = slot.claim_ != nullptr && impl_->meter->is_owed(slot.claim_.get());
  Status refused;
  try {
    if (impl_->inbox.push({std::move(request), std::move(slot), std::move(sink)})) return Status::ok_status();
    refused = impl_->refusal();
  } catch (const std::bad_alloc&) {
    refused = status_of_exception();
  }
  impl_->leave(1);
  return refused;
}

void Engine::cancel(RequestId id) {
  impl_->inbox.leave({id, -1});
}

void Engine::finish(RequestId id, int32_t choice) {
  impl_->inbox.leave({id, choice});
}

void Engine::pause(PauseMode mode, bool clear_cache, Done done) {
  impl_->command({Command::Kind::kPause, std::move(done), mode, clear_cache});
}

void Engine::resume(Done done) {
  impl_->command({Command::Kind::kResume, std::move(done)});
}

void Engine::sleep(int level, Done done) {
  impl_->command({.kind = Command::Kind::kSleep, .done = std::move(done), .level = level});
}

void Engine::wake_up(bool weights, bool kv_cache, Done done) {
  impl_->command(
      {.kind = Command::Kind::kWakeUp, .done = std::move(done), .weights = weights, .kv_cache = kv_cache});
}

void Engine::reset_prefix_cache(Done done) {
  impl_->command({Command::Kind::kResetPrefixCache, std::move(done)});
}

bool Engine::is_paused() const {
  return impl_->control.is_paused();
}

bool Engine::is_sleeping() const {
  return impl_->control.is_sleeping();
}

double Engine::stalled_s() const {
  return impl_->pulse.stalled_s(clock_now());
}

void Engine::stop_admission() {
  impl_->inbox.close();
}

bool Engine::drain(double timeout_s) {
  stop_admission();
  std::unique_lock lock(impl_->mutex);
  constexpr double kForever = 1e9;  // more would overflow the clock
  return impl_->someone_left.wait_for(lock, std::chrono::duration<double>(std::min(timeout_s, kForever)),
                                      [this] { return impl_->num_inside == 0; });
}

bool Engine::is_healthy() const {
  return impl_->healthy.load();
}

std::string Engine::failure() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->failure;
}

SchedulerStats Engine::stats() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->last_stats;
}

const EngineConfig& Engine::config() const {
  return impl_->config;
}

}  // namespace pagoda
