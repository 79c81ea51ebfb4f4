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

// A turn takes what has come in, plans a step, and finishes the oldest one in flight. With one plan in flight
// that is plan, run, commit. With two the next step is planned and launched while one runs, so that the
// runner never waits for the scheduler. Commands are carried out with nothing in flight. A step that ends a
// request frees its blocks before the next plan that is made.
void Engine::Impl::loop() {
  for (;;) {
    const bool has_reserve = !memory_is_short() || keep_memory_reserve();
    if (!has_reserve && in_flight.empty()) [[unlikely]] {
      if (!go_without_reserve()) break;
      continue;
    }
    if (!take_inbox()) break;
    take_ended_moves();
    if (control.is_halted()) {
      scheduler.expire(clock_now(), &events);
      idle();
      continue;
    }
    bool planned = false;
    if (has_reserve && (commands.empty() || in_flight.empty()))
      if (Status done = plan_step(&planned); !done.ok()) return die(done);
    if (planned && in_flight.size() < max_in_flight) continue;
    if (in_flight.empty())
      idle();
    else if (Status done = finish_step(); !done.ok())
      return die(done);
  }
  while (!in_flight.empty())
    if (Status done = finish_step(); !done.ok()) return die(done);
  end_everything(FinishReason::kAbort, {});
  keep_cache();
}

Status Engine::Impl::plan_step(bool* planned) {
  const Time begin = clock_now();
  heartbeat.mark_pending(begin);
  kv->begin_step(begin);
  const StepPlan& plan = scheduler.plan(begin, &events);
  *planned = !plan.empty();
  if (!*planned) return Status::ok_status();
  heartbeat.plan(plan);
  const Time launched_at = clock_now();
  in_flight.push_back({&plan, launched_at, seconds(launched_at - begin)});
  return runner->launch(plan);
}

// A step takes from its launch, or from the end of the one before, to its result.
Status Engine::Impl::finish_step() {
  const InFlight step = in_flight.front();
  PAGODA_RETURN_IF_ERROR(runner->wait(step.plan->step_id, &result));
  in_flight.erase(in_flight.begin());
  const Time begin = std::max(step.launched_at, result_at);
  result_at = clock_now();
  scheduler.commit(*step.plan, result, result_at, &events);
  engine_stats.on_step(scheduler.last_step(), seconds(result_at - begin),
                       step.plan_s + seconds(clock_now() - result_at));
  publish();
  heartbeat.tick(clock_now());
  return Status::ok_status();
}

void Engine::Impl::idle() {
  publish();
  // A sequence could run, and none does: time in which that is so counts as a stall.
  if (control.is_halted() || control.is_paused() || !scheduler.has_work()) heartbeat.idle();
  inbox.wait_until(std::min(scheduler.next_deadline(), engine_stats.next_log()));
}

bool Engine::Impl::take_inbox() {
  bool go_on = inbox.take(&arrivals, &cancellations, &commands);
  for (Arrival& arrival : arrivals) {
    const RequestId id = arrival.request->id;
    try {
      ActiveRequest& place = active[id];  // allocates before anything is moved
      place = {std::move(arrival.sink), std::move(arrival.ticket), arrival.request->n};
      scheduler.submit(std::move(arrival.request), clock_now(), &events);
    } catch (const std::bad_alloc&) {
      if (scheduler.find(id) != nullptr) throw;
      turn_away(&arrival, id);
    }
  }
  arrivals.clear();
  while (!cancellations.empty()) {  // where memory ends half way the rest is still there
    const Cancellation cancellation = cancellations.back();
    if (cancellation.choice < 0)
      scheduler.cancel(cancellation.id, clock_now(), &events);
    else
      scheduler.finish(cancellation.id, cancellation.choice, clock_now(), &events);
    cancellations.pop_back();
  }
  if (memory_is_short() || !in_flight.empty()) return go_on;  // commands can wait
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

// Everything that the last call of the scheduler has brought: numbers to the metrics, events to the
// publisher. A ticket is free, and drain() done, only after the last event is out.
void Engine::Impl::publish() {
  begun.clear();
  scheduler.take_begun(&begun);
  for (RequestId id : begun)
    if (auto it = active.find(id); it != active.end()) it->second.ticket.begin();
  finished.clear();
  scheduler.take_finished(&finished);
  engine_stats.on_finished(finished);
  SchedulerStats now = scheduler.stats();
  engine_stats.on_state(now);
  engine_stats.maybe_log(clock_now(), now);
  kv_telemetry.flush();
  heartbeat.state(now);
  {
    std::lock_guard lock(mutex);
    last_stats = now;
  }
  if (!events.empty()) {
    batch.sinks.reserve(events.size());  // from here on nothing lacks memory
    batch.finished.reserve(events.size());
    for (const TokenEvent& event : events) {
      auto it = active.find(event.id);
      PAGODA_CHECK(it != active.end(), "an event of a request that has ended");
      batch.sinks.push_back(it->second.sink.get());
      if (event.finish == FinishReason::kNone || --it->second.num_choices_left > 0) continue;
      batch.finished.push_back(std::move(it->second));
      active.erase(it);
    }
    batch.events.swap(events);
    publisher.hand_over(&batch);
  }
  control.answer(in_flight.empty());
}

// The publisher's thread: their last events are out.
void Engine::Impl::release(int64_t num_requests) {
  std::lock_guard lock(mutex);
  num_active -= num_requests;
  if (num_active == 0) drained.notify_all();
}

void Engine::Impl::command(Command&& command) {
  if (!inbox.command(std::move(command)))
    command.done({StatusCode::kUnavailable, "the engine has ended and takes no commands"});
}

Status Engine::Impl::refusal() const {
  if (!healthy.load()) return {StatusCode::kUnavailable, "the engine has failed and takes no requests"};
  return {StatusCode::kUnavailable, "the server is shutting down and takes no new requests"};
}

Status Engine::Impl::full(const AdmissionLimiter::Admission& answer) {
  const bool tokens = answer.rejection == AdmissionLimiter::Rejection::kTokens;
  (tokens ? metrics->rejected_queue_tokens : metrics->rejected_queue_full).add();
  std::string what = tokens ? fmt::format("{} prompt tokens, --max-num-queued-tokens", limiter->max_tokens())
                            : fmt::format("{} choices, --max-num-queued-reqs", limiter->max_choices());
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

Result<Engine::QueueTicket> Engine::reserve(int64_t choices, const Tenant& tenant, GiveWay give_way) {
  if (impl_->inbox.is_closed()) return impl_->refusal();
  const int32_t limit = impl_->limiter->max_choices();
  if (choices > limit) {
    return invalid_argument(
        fmt::format("n: the request asks for {} choices, the server's queue holds at most {} "
                    "(--max-num-queued-reqs)",
                    choices, limit),
        "n");
  }
  const auto count = static_cast<int32_t>(choices);
  AdmissionLimiter::GiveWay lost;
  if (give_way)
    lost = [impl = impl_.get(), tell = std::move(give_way)](const AdmissionLimiter::Admission& answer) {
      tell(impl->full(answer));
    };
  std::shared_ptr<QueueClaim> claim;
  AdmissionLimiter::Admission answer =
      impl_->limiter->try_acquire_choices(tenant, count, clock_now(), std::move(lost), &claim);
  if (answer.rejection != AdmissionLimiter::Rejection::kNone) return impl_->full(answer);
  return QueueTicket(impl_->limiter, std::move(claim), count);
}

Status Engine::reserve_tokens(QueueTicket* ticket, int64_t num_prompt_tokens, std::string_view field) {
  const int64_t limit = impl_->limiter->max_tokens();
  if (limit > 0 && num_prompt_tokens > limit) {
    return invalid_argument(
        fmt::format("{}: the request has {} prompt tokens, the server takes at most {} at a time "
                    "(--max-num-queued-tokens)",
                    field, num_prompt_tokens, limit),
        std::string(field));
  }
  AdmissionLimiter::Admission answer =
      impl_->limiter->try_acquire_tokens(ticket->claim_.get(), num_prompt_tokens, clock_now());
  if (answer.rejection != AdmissionLimiter::Rejection::kNone) return impl_->full(answer);
  ticket->tokens_ += num_prompt_tokens;
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

Status Engine::submit(std::unique_ptr<Request> request, QueueTicket ticket, std::shared_ptr<EventSink> sink) {
  if (request->arrival == Time{}) request->arrival = clock_now();
  PAGODA_RETURN_IF_ERROR(check_deadline(request->deadline));
  {
    std::lock_guard lock(impl_->mutex);
    ++impl_->num_active;
  }
  ticket.served_ = true;
  request->goes_ahead = ticket.claim_ != nullptr && impl_->limiter->is_owed(ticket.claim_.get());
  Status refused;
  try {
    if (impl_->inbox.push({std::move(request), std::move(ticket), std::move(sink)}))
      return Status::ok_status();
    refused = impl_->refusal();
  } catch (const std::bad_alloc&) {
    refused = status_of_exception();
  }
  impl_->release(1);
  return refused;
}

void Engine::cancel(RequestId id) {
  impl_->inbox.cancel({id, -1});
}

void Engine::finish(RequestId id, int32_t choice) {
  impl_->inbox.cancel({id, choice});
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
  return impl_->heartbeat.stalled_s(clock_now());
}

void Engine::stop_admission() {
  impl_->inbox.close();
}

bool Engine::drain(double timeout_s) {
  stop_admission();
  std::unique_lock lock(impl_->mutex);
  constexpr double kForever = 1e9;  // more would overflow the clock
  return impl_->drained.wait_for(lock, std::chrono::duration<double>(std::min(timeout_s, kForever)),
                                 [this] { return impl_->num_active == 0; });
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
