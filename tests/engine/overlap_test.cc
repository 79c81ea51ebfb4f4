// Two plans in flight, on a runner that computes on a thread of its own.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "base/log.h"
#include "tests/engine/engine_harness.h"

namespace pagoda {
namespace {

using testing::EngineHarness;
using testing::Gate;
using testing::kPatience;
using testing::Sink;

struct OverlappedHarness : EngineHarness {
  OverlappedHarness() : EngineHarness(2) {}
  ~OverlappedHarness() { engine.reset(); }
  bool wait_in_flight(std::size_t count) {
    const Time end = std::chrono::steady_clock::now() + kPatience;
    while (async->num_in_flight() != count && std::chrono::steady_clock::now() < end)
      std::this_thread::yield();
    return async->num_in_flight() == count;
  }
};

TEST(Overlap, TheNextStepIsLaunchedWhileOneRuns) {
  OverlappedHarness harness;
  Gate gate;
  harness.on_wait = [&](const StepPlan&) {
    gate.enter();
    return Status::ok_status();
  };
  harness.start();
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2, 3}, 20), sink);
  ASSERT_TRUE(gate.wait_entered());
  EXPECT_TRUE(harness.wait_in_flight(2)) << "though the first step has no result yet";
  EXPECT_EQ(sink->num_events(), 0);
  gate.open();
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->tokens(), harness.expected({1, 2, 3}, 20));
}

// One plan at a time where the runner can do no more, or is asked for no more.
TEST(Overlap, TheSmallerDepthCounts) {
  for (const bool runner_can : {false, true}) {
    EngineHarness harness(runner_can ? 1 : 2);
    harness.asynchronous = true;
    harness.max_runner_depth = runner_can ? 2 : 1;
    harness.start();
    auto sink = std::make_shared<Sink>();
    harness.submit(harness.request({1, 2, 3}, 20), sink);
    ASSERT_TRUE(sink->wait_ended(1));
    EXPECT_EQ(sink->tokens(), harness.expected({1, 2, 3}, 20));
    EXPECT_EQ(harness.async->max_seen(), 1u);
  }
}

TEST(Overlap, ATokenBehindTheEndOfAnAnswerReachesNoClient) {
  OverlappedHarness harness;
  harness.start();
  const std::vector<TokenId> whole = harness.expected({4, 5}, 30);
  for (int end = 1; end < 8; ++end) {
    const TokenId eos = whole[static_cast<std::size_t>(end - 1)];
    const auto first = std::find(whole.begin(), whole.end(), eos);
    auto request = harness.request({4, 5}, 30);
    request->params.eos_token_ids = {eos};
    auto sink = std::make_shared<Sink>();
    harness.submit(std::move(request), sink);
    ASSERT_TRUE(sink->wait_ended(1));
    EXPECT_EQ(sink->tokens(), std::vector<TokenId>(whole.begin(), first + 1));
    EXPECT_EQ(sink->finish(), FinishReason::kStop);
  }
  EXPECT_TRUE(harness.engine->drain(60));
  EXPECT_TRUE(harness.all_blocks_come_back());
}

// An error of the wait for the first of two plans, of the second, and of the launch of the second.
TEST(Overlap, AnErrorOfEitherPlanEndsEverything) {
  set_log_level(LogLevel::kOff);
  enum Where { kFirst, kSecond, kLaunch };
  for (const Where where : {kFirst, kSecond, kLaunch}) {
    OverlappedHarness harness;
    Gate gate;
    harness.on_wait = [&, where](const StepPlan& plan) {
      gate.enter();  // step 1 runs until step 2 has been launched, or has failed to be
      const bool fails = where != kLaunch && plan.step_id == (where == kFirst ? 1u : 2u);
      return fails ? internal_error("device lost") : Status::ok_status();
    };
    std::promise<void> launching, submitted;
    harness.on_launch = [&, where](const StepPlan& plan) {
      if (plan.step_id != 2) return Status::ok_status();
      launching.set_value();
      submitted.get_future().wait();
      return where == kLaunch ? internal_error("device lost") : Status::ok_status();
    };
    harness.start();
    auto one = std::make_shared<Sink>(), many = std::make_shared<Sink>();
    harness.submit(harness.request({1}, 40), one);
    launching.get_future().wait();
    ASSERT_TRUE(gate.wait_entered());
    harness.submit(harness.request({2}, 40, 3), many);
    submitted.set_value();
    if (where == kLaunch) {
      ASSERT_TRUE(one->wait_ended(1)) << "though a step still runs";
    }
    gate.open();
    ASSERT_TRUE(one->wait_ended(1));
    ASSERT_TRUE(many->wait_ended(3));
    for (Sink* sink : {one.get(), many.get()}) {
      EXPECT_EQ(sink->finish(), FinishReason::kError);
      EXPECT_EQ(sink->error(), "device lost");
    }
    EXPECT_FALSE(harness.engine->is_healthy());
    EXPECT_TRUE(harness.engine->drain(60));
  }
  set_log_level(LogLevel::kInfo);
}

TEST(Overlap, ShutdownWithTwoPlansInFlight) {
  OverlappedHarness harness;
  harness.config.scheduler.max_model_len = 4000;
  harness.num_blocks = 2100;
  Gate gate;
  harness.on_wait = [&](const StepPlan& plan) {
    if (plan.step_id >= 3) gate.enter();
    if (plan.step_id > 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // many seconds in all
    return Status::ok_status();
  };
  harness.start();
  auto a = std::make_shared<Sink>(), b = std::make_shared<Sink>();
  harness.submit(harness.request({1}, 3900), a);
  harness.submit(harness.request({2}, 3900), b);
  ASSERT_TRUE(gate.wait_entered());
  ASSERT_TRUE(harness.wait_in_flight(2));
  std::thread stopper([&] { harness.engine.reset(); });
  gate.open();
  stopper.join();
  EXPECT_EQ(a->finish(), FinishReason::kAbort);
  EXPECT_EQ(b->finish(), FinishReason::kAbort);
  EXPECT_EQ(a.use_count(), 1);
}

// A command waits for the plans in flight, and the engine makes no others meanwhile.
TEST(Overlap, CommandsAreCarriedOutWithNothingInFlight) {
  OverlappedHarness harness;
  harness.can_sleep = true;
  Gate gate;
  std::atomic<uint64_t> last_launched{0};
  harness.on_wait = [&](const StepPlan& plan) {
    if (plan.step_id >= 3) gate.enter();
    return Status::ok_status();
  };
  harness.on_launch = [&](const StepPlan& plan) {
    last_launched = plan.step_id;
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2, 3}, 30), sink);
  ASSERT_TRUE(gate.wait_entered());
  ASSERT_TRUE(harness.wait_in_flight(2));
  const uint64_t before = last_launched;
  std::promise<Status> asleep, awake;
  engine.sleep(1, [&](const Status& status) { asleep.set_value(status); });  // the runner sees that none runs
  gate.open();
  EXPECT_TRUE(asleep.get_future().get().ok());
  EXPECT_EQ(last_launched, before);
  EXPECT_EQ(harness.async->num_in_flight(), 0u);
  engine.wake_up(true, true, [&](const Status& status) { awake.set_value(status); });
  EXPECT_TRUE(awake.get_future().get().ok());
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->tokens(), harness.expected({1, 2, 3}, 30)) << "no token of before was lost or told twice";
}

}  // namespace
}  // namespace pagoda
