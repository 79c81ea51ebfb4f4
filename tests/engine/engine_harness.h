// An engine on a fake model, and sinks that wait: for the tests of the engine room.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "tests/testing/async_runner.h"
#include "tests/testing/fake_runner.h"
#include "tests/testing/gate.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/scheduler_config.h"

namespace pagoda::testing {

class Sink : public EventSink {
 public:
  void on_event(TokenEvent&& event) override {
    std::lock_guard lock(mutex_);
    Choice& choice = choices_[event.choice];
    EXPECT_EQ(choice.finish, FinishReason::kNone) << "an event after the last";
    choice.tokens.insert(choice.tokens.end(), event.out.token.begin(), event.out.token.end());
    choice.finish = event.finish;
    choice.error = event.error;
    num_ended_ += event.finish != FinishReason::kNone;
    ++num_events_;
    changed_.notify_all();
  }
  bool wait_ended(int num_choices) {
    return wait([&] { return num_ended_ >= num_choices; });
  }
  bool wait_events(int num_events) {
    return wait([&] { return num_events_ >= num_events; });
  }
  std::vector<TokenId> tokens(int choice = 0) { return get(choice).tokens; }
  FinishReason finish(int choice = 0) { return get(choice).finish; }
  std::string error(int choice = 0) { return get(choice).error; }
  int num_events() {
    std::lock_guard lock(mutex_);
    return num_events_;
  }

 private:
  struct Choice {
    std::vector<TokenId> tokens;
    FinishReason finish = FinishReason::kNone;
    std::string error;
  };
  bool wait(const std::function<bool()>& ready) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, ready);
  }
  Choice get(int choice) {
    std::lock_guard lock(mutex_);
    return choices_[choice];
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<int, Choice> choices_;
  int num_ended_ = 0, num_events_ = 0;
};

// One that can sleep, and aborts where it is made to compute then.
class SleepyRunner : public FakeRunner {
 public:
  using FakeRunner::FakeRunner;
  Status launch(const StepPlan& plan) override {
    EXPECT_FALSE(sleeping_) << "a step while asleep";
    return FakeRunner::launch(plan);
  }
  Status sleep(int) override {
    sleeping_ = true;
    return {};
  }
  Status wake() override {
    sleeping_ = false;
    return {};
  }
  bool is_sleeping() const override { return sleeping_; }

 private:
  bool sleeping_ = false;
};

struct EngineHarness {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64};
  EngineConfig config = countable_engine(
      {.max_num_seqs = 4, .max_num_batched_tokens = 32, .max_model_len = 64, .max_num_queued_reqs = 64});
  FakeModel model{.seed = 5, .vocab_size = 50, .bad_one_in = 0};
  std::function<Status(const StepPlan&)> on_wait, on_launch;  // on_launch: of an asynchronous runner
  AsyncRunner* async = nullptr;                               // the engine's
  std::unique_ptr<Engine> engine;

  // 2: the runner is asynchronous, and two plans are in flight.
  explicit EngineHarness(int max_in_flight = 1) : asynchronous(max_in_flight > 1) {
    config.scheduler.max_in_flight = max_in_flight;
  }
  int block_size = 4, num_blocks = 40;
  bool can_sleep = false, asynchronous;
  int max_runner_depth = 2;  // of an asynchronous runner
  Engine& start() {
    auto kv =
        std::make_unique<KvManager>(std::vector<KvGroupSpec>{testing::full_group(block_size)}, num_blocks);
    const std::vector<KvGroupSpec> groups = {testing::full_group(block_size, 1)};
    const int32_t rows = config.scheduler.max_num_seqs;
    auto runner = can_sleep ? std::make_unique<SleepyRunner>(model, groups, num_blocks, rows)
                            : std::make_unique<FakeRunner>(model, groups, num_blocks, rows);
    runner->on_wait = on_wait;
    std::unique_ptr<ModelRunner> any = std::move(runner);
    if (asynchronous) {
      auto wrapped = std::make_unique<AsyncRunner>(std::move(any));
      wrapped->on_launch = on_launch;
      wrapped->depth = max_runner_depth;
      async = wrapped.get();
      any = std::move(wrapped);
    }
    engine = std::make_unique<Engine>(config, std::move(kv), std::move(any), &metrics);
    return *engine;
  }
  std::unique_ptr<Request> request(std::vector<TokenId> prompt, int max_tokens, int n = 1) {
    auto request = std::make_unique<Request>();
    request->id = engine->next_request_id();
    request->prompt = std::move(prompt);
    request->params.max_tokens = max_tokens;
    request->params.seed = 17;
    request->n = n;
    return request;
  }
  // Submits; the id.
  RequestId submit(std::unique_ptr<Request> request, std::shared_ptr<Sink> sink) {
    RequestId id = request->id;
    Result<Engine::QueueTicket> ticket = engine->reserve(request->n);
    EXPECT_TRUE(ticket.ok()) << ticket.status().message();
    Status status = engine->submit(std::move(request), std::move(*ticket), std::move(sink));
    EXPECT_TRUE(status.ok()) << status.message();
    return id;
  }
  std::vector<TokenId> expected(const std::vector<TokenId>& prompt, int count, int choice = 0) const {
    uint64_t prefix = 0;
    for (TokenId token : prompt) prefix = model.extend(prefix, token);
    std::vector<TokenId> out;
    for (int i = 0; i < count; ++i) {
      out.push_back(model.sample(prefix, 17 + static_cast<uint64_t>(choice), i));
      prefix = model.extend(prefix, out.back());
    }
    return out;
  }
  // Blocks come back when the last plan that uses them is committed, which may be after the last event.
  bool all_blocks_come_back() {
    Time end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      if (engine->stats().kv_usage == 0) return true;
      std::this_thread::yield();
    }
    return false;
  }
  // Tickets come back on the engine thread, just after the last event.
  bool all_slots_come_back() {
    Time end = std::chrono::steady_clock::now() + kPatience;
    while (std::chrono::steady_clock::now() < end) {
      if (engine->reserve(config.scheduler.max_num_queued_reqs).ok()) return true;
      std::this_thread::yield();
    }
    return false;
  }
};

}  // namespace pagoda::testing
