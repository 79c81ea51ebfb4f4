#include "engine/engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "engine/engine_stats.h"
#include "engine/inbox.h"
#include "engine/queue_meter.h"

namespace pagoda {
namespace {

Time clock_now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

struct Engine::Impl {
  Impl(const EngineConfig& engine_config, std::unique_ptr<KvManager> kv_manager,
       std::unique_ptr<ModelRunner> model_runner, EngineMetrics* engine_metrics)
      : config(engine_config),
        metrics(engine_metrics),
        meter(std::make_shared<QueueMeter>(engine_config.scheduler.max_num_queued_reqs,
                                           engine_config.scheduler.max_num_queued_tokens)),
        kv(std::move(kv_manager)),
        runner(std::move(model_runner)),
        scheduler(config.scheduler, kv.get()),
        engine_stats(metrics, config) {}

  void loop();
  bool take_inbox();
  Status run(const StepPlan& plan);
  void publish();
  void die(const Status& status);
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

  // The engine thread's own.
  struct Inside {
    std::shared_ptr<EventSink> sink;
    Slot slot;
    int32_t num_left;  // choices
  };
  std::unique_ptr<KvManager> kv;
  std::unique_ptr<ModelRunner> runner;
  Scheduler scheduler;
  EngineStats engine_stats;
  std::unordered_map<RequestId, Inside> inside;
  std::vector<Arrival> arrivals;
  std::vector<Departure> departures;
  std::vector<TokenEvent> events;
  std::vector<FinishedStats> finished;
  StepResult result;  // of the last step
  double step_s = 0;  // what the last run() took
  std::thread thread;
};

// The heart. A step that ends a request frees its blocks before anyone else is planned.
void Engine::Impl::loop() {
  while (take_inbox()) {
    StepPlan& plan = scheduler.plan(clock_now(), &events);
    if (plan.empty()) {
      publish();
      inbox.wait_until(std::min(scheduler.next_deadline(), engine_stats.next_log()));
      continue;
    }
    if (Status done = run(plan); !done.ok()) return die(done);
    scheduler.commit(plan, result, clock_now(), &events);
    engine_stats.on_step(scheduler.last_step(), step_s);
    publish();
  }
  end_everything(FinishReason::kAbort, {});
}

bool Engine::Impl::take_inbox() {
  bool go_on = inbox.take(&arrivals, &departures);
  for (Arrival& arrival : arrivals) {
    inside.emplace(arrival.request->id,
                   Inside{std::move(arrival.sink), std::move(arrival.slot), arrival.request->n});
    scheduler.submit(std::move(arrival.request), clock_now(), &events);
  }
  for (const Departure& departure : departures) {
    if (departure.choice < 0)
      scheduler.cancel(departure.id, clock_now(), &events);
    else
      scheduler.finish(departure.id, departure.choice, clock_now(), &events);
  }
  return go_on;
}

Status Engine::Impl::run(const StepPlan& plan) {
  Time begin = clock_now();
  PAGODA_RETURN_IF_ERROR(runner->launch(plan));
  Status done = runner->wait(plan.step_id, &result);
  step_s = std::chrono::duration<double>(clock_now() - begin).count();
  return done;
}

// Everything that the last call of the scheduler has brought: events to their sinks, numbers to the metrics.
// A slot is free, and drain() done, only after the last event is out.
void Engine::Impl::publish() {
  int64_t num_gone = 0;
  for (TokenEvent& event : events) {
    auto it = inside.find(event.id);
    PAGODA_CHECK(it != inside.end(), "an event of a request that has ended");
    bool is_last = event.finish != FinishReason::kNone && --it->second.num_left == 0;
    it->second.sink->on_event(std::move(event));
    if (!is_last) continue;
    inside.erase(it);
    ++num_gone;
  }
  events.clear();
  finished.clear();
  scheduler.take_finished(&finished);
  engine_stats.on_finished(finished);
  SchedulerStats now = scheduler.stats();
  engine_stats.on_state(now);
  engine_stats.maybe_log(clock_now(), now);
  std::lock_guard lock(mutex);
  last_stats = now;
  num_inside -= num_gone;
  if (num_inside == 0) someone_left.notify_all();
}

// Whoever has come in until the inbox closed gets the event too.
void Engine::Impl::end_everything(FinishReason reason, const std::string& error) {
  inbox.finish();
  take_inbox();
  scheduler.abort_all(reason, error, clock_now(), &events);
  publish();
}

void Engine::Impl::die(const Status& status) {
  log_error("the engine has died: {}", status.message());
  {
    std::lock_guard lock(mutex);
    failure = status.message();
  }
  healthy.store(false);
  end_everything(FinishReason::kError, status.message());
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

Engine::Slot::Slot(std::shared_ptr<QueueMeter> meter, int32_t choices)
    : meter_(std::move(meter)), choices_(choices) {}
Engine::Slot::Slot(Slot&& other) noexcept {
  *this = std::move(other);
}
Engine::Slot& Engine::Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  meter_ = std::move(other.meter_);
  choices_ = other.choices_;
  tokens_ = other.tokens_;
  served_ = other.served_;
  return *this;
}
Engine::Slot::~Slot() {
  give_back();
}
void Engine::Slot::give_back() {
  if (meter_ != nullptr) meter_->give_back(choices_, tokens_, served_, clock_now());
  meter_.reset();
}

Engine::Engine(const EngineConfig& config, std::unique_ptr<KvManager> kv, std::unique_ptr<ModelRunner> runner,
               EngineMetrics* metrics)
    : impl_(std::make_unique<Impl>(config, std::move(kv), std::move(runner), metrics)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->loop(); });
}

Engine::~Engine() {
  impl_->inbox.stop();
  impl_->thread.join();
}

Result<Engine::Slot> Engine::reserve(int32_t choices) {
  if (impl_->inbox.is_closed()) return impl_->refusal();
  const int32_t limit = impl_->meter->max_choices();
  if (choices > limit) {
    return invalid_argument(
        fmt::format("{} choices were asked for, but the server's queue holds {} (--max-num-queued-reqs)",
                    choices, limit),
        "n");
  }
  QueueMeter::Answer answer = impl_->meter->take_choices(choices, clock_now());
  if (answer.lack != QueueMeter::Lack::kNothing) return impl_->full(answer);
  return Slot(impl_->meter, choices);
}

Status Engine::reserve_tokens(Slot* slot, int64_t num_prompt_tokens) {
  const int64_t limit = impl_->meter->max_tokens();
  if (limit > 0 && num_prompt_tokens > limit) {
    return invalid_argument(fmt::format("the prompt has {} tokens, but the server's queue holds {} "
                                        "(--max-num-queued-tokens)",
                                        num_prompt_tokens, limit),
                            "prompt");
  }
  QueueMeter::Answer answer = impl_->meter->take_tokens(num_prompt_tokens, clock_now());
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
  if (impl_->inbox.push({std::move(request), std::move(slot), std::move(sink)})) return Status::ok_status();
  std::lock_guard lock(impl_->mutex);
  if (--impl_->num_inside == 0) impl_->someone_left.notify_all();
  return impl_->refusal();
}

void Engine::cancel(RequestId id) {
  impl_->inbox.leave({id, -1});
}

void Engine::finish(RequestId id, int32_t choice) {
  impl_->inbox.leave({id, choice});
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
