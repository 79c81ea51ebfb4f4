#include "engine/engine.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/memory_reserve.h"
#include "engine/engine_impl.h"

namespace pagoda {
namespace {

double seconds(Time::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

// The heart. A step that ends a request frees its blocks before anyone else is planned.
void Engine::Impl::loop() {
  for (;;) {
    const bool has_reserve = !memory_is_short() || keep_memory_reserve();
    if (!(has_reserve ? take_inbox() : go_without_reserve())) break;
    if (!has_reserve) [[unlikely]]
      continue;
    take_ended_moves();
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
    const RequestId id = arrival.request->id;
    try {
      Inside& place = inside[id];  // allocates before anything is moved
      place = {{std::move(arrival.sink), std::move(arrival.slot)}, arrival.request->n};
      scheduler.submit(std::move(arrival.request), clock_now(), &events);
    } catch (const std::bad_alloc&) {
      if (scheduler.find(id) != nullptr) throw;
      turn_away(&arrival, id);
    }
  }
  arrivals.clear();
  while (!departures.empty()) {  // where memory ends half way the rest is still there
    const Departure departure = departures.back();
    if (departure.choice < 0)
      scheduler.cancel(departure.id, clock_now(), &events);
    else
      scheduler.finish(departure.id, departure.choice, clock_now(), &events);
    departures.pop_back();
  }
  if (memory_is_short()) [[unlikely]]
    return go_on;  // commands can wait
  for (Command& command : commands) {
    control.take(std::move(command), clock_now(), &events);
    command.done = nullptr;
  }
  commands.clear();
  return go_on;
}

void Engine::Impl::take_ended_moves() {
  runner->take_ended_moves(&ended_moves);
  kv->moves_ended(ended_moves);
  ended_moves.clear();
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
    batch.sinks.reserve(events.size());  // from here on nothing lacks memory
    batch.gone.reserve(events.size());
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
               EngineMetrics* metrics, std::unique_ptr<KvEventSink> kv_events)
    : impl_(std::make_unique<Impl>(config, std::move(kv), std::move(runner), metrics, std::move(kv_events))) {
  impl_->runner->on_move_end([inbox = &impl_->inbox] { inbox->wake(); });
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

Status Engine::reserve_tokens(Slot* slot, int64_t num_prompt_tokens, std::string_view field) {
  const int64_t limit = impl_->meter->max_tokens();
  if (limit > 0 && num_prompt_tokens > limit) {
    return invalid_argument(
        fmt::format("{}: the request has {} prompt tokens, the server takes at most {} at a time "
                    "(--max-num-queued-tokens)",
                    field, num_prompt_tokens, limit),
        std::string(field));
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
