// What the engine is told to do beside its requests.
#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "base/log.h"
#include "tests/engine/engine_harness.h"

namespace pagoda {
namespace {

using testing::EngineHarness;
using testing::Gate;
using testing::kPatience;
using testing::Sink;

constexpr auto kShort = std::chrono::milliseconds(30);

// A command under way.
class Order {
 public:
  Engine::Done done() {
    return [this](const Status& status) { promise_.set_value(status); };
  }
  bool is_done(std::chrono::milliseconds within = kPatience) {
    return future_.wait_for(within) == std::future_status::ready;
  }
  Status status() { return is_done() ? future_.get() : internal_error("the command was never done"); }

 private:
  std::promise<Status> promise_;
  std::future<Status> future_ = promise_.get_future();
};

template <class Call>
Status finish(Call call) {
  Order order;
  call(order.done());
  return order.status();
}
Status resume(Engine& engine) {
  return finish([&](auto done) { engine.resume(done); });
}
Status pause(Engine& engine, PauseMode mode) {
  return finish([&](auto done) { engine.pause(mode, true, done); });
}

// Slow enough that a command comes while a request runs.
struct SlowHarness : EngineHarness {
  std::atomic<int> num_steps{0};
  explicit SlowHarness(int max_in_flight) : EngineHarness(max_in_flight) {
    on_wait = [this](const StepPlan&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ++num_steps;
      return Status::ok_status();
    };
  }
  ~SlowHarness() { engine.reset(); }
};

// Each with one plan in flight, and with two on a runner that is slow to answer.
class EngineControl : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(PlansInFlight, EngineControl, ::testing::Values(1, 2));

TEST_P(EngineControl, PauseEndsThoseInsideAndOthersWait) {
  SlowHarness harness(GetParam());
  Engine& engine = harness.start();
  auto before = std::make_shared<Sink>(), during = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2}, 60), before);
  ASSERT_TRUE(before->wait_events(1));
  EXPECT_TRUE(pause(engine, PauseMode::kAbort).ok());
  EXPECT_TRUE(engine.is_paused());
  ASSERT_TRUE(before->wait_ended(1));
  EXPECT_EQ(before->finish(), FinishReason::kAbort);
  harness.submit(harness.request({3}, 4), during);
  std::this_thread::sleep_for(kShort);
  EXPECT_EQ(during->num_events(), 0);
  EXPECT_EQ(engine.stalled_s(), 0) << "told to wait";
  EXPECT_TRUE(resume(engine).ok());
  EXPECT_FALSE(engine.is_paused());
  ASSERT_TRUE(during->wait_ended(1));
  EXPECT_EQ(during->tokens(), harness.expected({3}, 4));
}

TEST_P(EngineControl, PauseLetsTheRunningEnd) {
  SlowHarness harness(GetParam());
  Engine& engine = harness.start();
  auto before = std::make_shared<Sink>(), during = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2}, 40), before);
  ASSERT_TRUE(before->wait_events(1));
  Order order;
  engine.pause(PauseMode::kWait, true, order.done());
  harness.submit(harness.request({3}, 4), during);
  EXPECT_FALSE(order.is_done(kShort));
  EXPECT_TRUE(order.status().ok());
  ASSERT_TRUE(before->wait_ended(1));
  EXPECT_EQ(before->tokens(), harness.expected({1, 2}, 40));
  EXPECT_EQ(during->num_events(), 0);
  EXPECT_TRUE(resume(engine).ok());
  ASSERT_TRUE(during->wait_ended(1));
}

TEST_P(EngineControl, PauseKeepsTheRunningAsTheyAre) {
  SlowHarness harness(GetParam());
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>(), late = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2}, 50), sink);
  ASSERT_TRUE(sink->wait_events(2));
  EXPECT_TRUE(pause(engine, PauseMode::kKeep).ok());
  int steps = harness.num_steps;
  auto expiring = harness.request({5}, 5);
  expiring->deadline = std::chrono::steady_clock::now() + kShort;
  harness.submit(std::move(expiring), late);
  ASSERT_TRUE(late->wait_ended(1)) << "time goes on";
  EXPECT_EQ(late->finish(), FinishReason::kTimeout);
  EXPECT_EQ(harness.num_steps, steps);
  EXPECT_GT(engine.stats().kv_usage, 0);
  EXPECT_TRUE(resume(engine).ok());
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->tokens(), harness.expected({1, 2}, 50));
}

TEST_P(EngineControl, ResumeEndsTheWaitForThoseRunning) {
  SlowHarness harness(GetParam());
  Gate gate;
  harness.on_wait = [&](const StepPlan&) {
    gate.enter();
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2}, 50), sink);
  ASSERT_TRUE(gate.wait_entered());
  Order wait, go_on;
  engine.pause(PauseMode::kWait, true, wait.done());
  engine.resume(go_on.done());
  gate.open();
  EXPECT_EQ(wait.status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(go_on.status().ok());
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->tokens(), harness.expected({1, 2}, 50));
}

TEST_P(EngineControl, SleepSendsTheRunningBackToTheQueue) {
  SlowHarness harness(GetParam());
  harness.can_sleep = true;
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>(), during = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2, 3}, 40, 2), sink);
  ASSERT_TRUE(sink->wait_events(4));
  EXPECT_TRUE(finish([&](auto done) { engine.sleep(1, done); }).ok());
  EXPECT_TRUE(engine.is_sleeping());
  EXPECT_EQ(harness.metrics.sleep_weights_offloaded.value(), 1);
  EXPECT_EQ(harness.metrics.sleep_awake.value(), 0);
  int steps = harness.num_steps;
  harness.submit(harness.request({4}, 3), during);
  std::this_thread::sleep_for(kShort);
  EXPECT_EQ(harness.num_steps, steps);
  EXPECT_EQ(engine.stats().num_running, 0);
  EXPECT_TRUE(harness.all_blocks_come_back());
  EXPECT_TRUE(finish([&](auto done) { engine.wake_up(true, false, done); }).ok());
  EXPECT_TRUE(engine.is_sleeping()) << "only the weights are back";
  EXPECT_TRUE(finish([&](auto done) { engine.wake_up(false, true, done); }).ok());
  EXPECT_FALSE(engine.is_sleeping());
  EXPECT_EQ(harness.metrics.sleep_awake.value(), 1);
  ASSERT_TRUE(sink->wait_ended(2));
  ASSERT_TRUE(during->wait_ended(1));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(sink->tokens(i), harness.expected({1, 2, 3}, 40, i));
  EXPECT_EQ(during->tokens(), harness.expected({4}, 3));
}

TEST_P(EngineControl, ARunnerThatCanNotSleepGoesOn) {
  SlowHarness harness(GetParam());
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2}, 40), sink);
  ASSERT_TRUE(sink->wait_events(1));
  EXPECT_EQ(finish([&](auto done) { engine.sleep(1, done); }).code(), StatusCode::kUnimplemented);
  EXPECT_FALSE(engine.is_sleeping());
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->tokens(), harness.expected({1, 2}, 40));
}

TEST_P(EngineControl, AForgottenCacheIsNotHit) {
  SlowHarness harness(GetParam());
  Engine& engine = harness.start();
  const std::vector<TokenId> prompt = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  auto hits_of_one_more = [&] {
    uint64_t before = engine.stats().prefix_hits;
    auto sink = std::make_shared<Sink>();
    harness.submit(harness.request(prompt, 2), sink);
    EXPECT_TRUE(sink->wait_ended(1));
    EXPECT_EQ(sink->tokens(), harness.expected(prompt, 2));
    return engine.stats().prefix_hits - before;
  };
  EXPECT_EQ(hits_of_one_more(), 0u);
  EXPECT_EQ(hits_of_one_more(), 8u);
  EXPECT_TRUE(finish([&](auto done) { engine.reset_prefix_cache(done); }).ok());
  EXPECT_EQ(hits_of_one_more(), 0u);
}

TEST_P(EngineControl, CommandsOfADeadEngineAreAnswered) {
  set_log_level(LogLevel::kOff);
  SlowHarness harness(GetParam());
  harness.on_wait = [](const StepPlan&) { return internal_error("device lost"); };
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2}, 40), sink);
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(pause(engine, PauseMode::kWait).code(), StatusCode::kUnavailable);
  set_log_level(LogLevel::kInfo);
}

TEST_P(EngineControl, AHangIsSeen) {
  EngineHarness harness(GetParam());
  Gate gate;
  harness.on_wait = [&](const StepPlan&) {
    gate.enter();
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  EXPECT_LT(engine.stalled_s(), 0.01);  // its thread may not have come to rest yet
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1}, 3), sink);
  ASSERT_TRUE(gate.wait_entered());
  std::this_thread::sleep_for(kShort);
  EXPECT_GE(engine.stalled_s(), 0.03);
  gate.open();
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_TRUE(engine.drain(60));
  for (int i = 0; i < 6000 && engine.stalled_s() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_EQ(engine.stalled_s(), 0);
}

TEST(EngineControlDeathTest, AHangEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  auto hang = [] {
    EngineHarness harness;
    harness.config.watchdog_timeout_s = 0.05;
    harness.on_wait = [](const StepPlan&) {
      std::this_thread::sleep_for(kPatience);
      return Status::ok_status();
    };
    harness.start();
    auto sink = std::make_shared<Sink>();
    harness.submit(harness.request({1, 2, 3}, 3), sink);
    sink->wait_ended(1);
  };
  EXPECT_EXIT(hang(), ::testing::ExitedWithCode(1), "engine hangs.*step 1 of 1 rows, 3 tokens");
}

TEST(Engine, PromptTokensAreBoundedToo) {
  EngineHarness harness;
  harness.config.scheduler.max_num_queued_tokens = 10;
  Engine& engine = harness.start();
  Engine::QueueTicket one = *engine.reserve(1), two = *engine.reserve(1);
  EXPECT_EQ(engine.reserve_tokens(&one, 11).code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(engine.reserve_tokens(&one, 7).ok());
  Status full = engine.reserve_tokens(&two, 4);
  EXPECT_EQ(full.code(), StatusCode::kExhausted);
  EXPECT_GE(full.retry_after_ms(), 1000);
  EXPECT_EQ(harness.metrics.rejected_queue_tokens.value(), 1);
  EXPECT_TRUE(engine.reserve_tokens(&two, 3).ok());
  EXPECT_EQ(engine.reserve(1).status().code(), StatusCode::kExhausted) << "no token is left";
  one = Engine::QueueTicket();
  EXPECT_TRUE(engine.reserve(1).ok());
}

TEST(Engine, WhoseTimeIsOverDoesNotComeIn) {
  EngineHarness harness;
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  auto request = harness.request({1}, 3);
  request->deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_EQ(engine.submit(std::move(request), *engine.reserve(1), sink).code(), StatusCode::kTimeout);
  EXPECT_EQ(harness.metrics.rejected_deadline.value(), 1);
  EXPECT_TRUE(engine.drain(60));
  EXPECT_EQ(sink->num_events(), 0);
}

}  // namespace
}  // namespace pagoda
