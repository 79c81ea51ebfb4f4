#include "engine/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "tests/engine/engine_harness.h"

namespace pagoda {
namespace {

using testing::EngineHarness;
using testing::Gate;
using testing::Sink;

// Each with one plan in flight, and with two on a runner that is slow to answer.
class EngineLoop : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(PlansInFlight, EngineLoop, ::testing::Values(1, 2));

TEST_P(EngineLoop, AnswersEachChoice) {
  EngineHarness harness(GetParam());
  harness.start();
  auto one = std::make_shared<Sink>(), many = std::make_shared<Sink>();
  harness.submit(harness.request({1, 2, 3}, 10), one);
  harness.submit(harness.request({4, 5, 6, 7, 8}, 7, 3), many);
  ASSERT_TRUE(one->wait_ended(1));
  ASSERT_TRUE(many->wait_ended(3));
  EXPECT_EQ(one->tokens(), harness.expected({1, 2, 3}, 10));
  EXPECT_EQ(one->finish(), FinishReason::kLength);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(many->tokens(i), harness.expected({4, 5, 6, 7, 8}, 7, i));
  EXPECT_TRUE(harness.all_slots_come_back());
  EXPECT_TRUE(harness.engine->drain(60));
  EXPECT_TRUE(harness.all_blocks_come_back());
  EXPECT_EQ(harness.engine->stats().num_running, 0);
  EXPECT_EQ(harness.metrics.generation_tokens.value(), 10 + 3 * 7);
  EXPECT_EQ(harness.metrics.prompt_tokens.value(), 3 + 3 * 5);
  EXPECT_EQ(harness.metrics.success_length.value(), 4);
  EXPECT_EQ(harness.metrics.time_to_first_token.count(), 4u);
  EXPECT_EQ(harness.metrics.inter_token_latency.count(), 9u + 3 * 6);
  EXPECT_EQ(harness.metrics.e2e_request_latency.count(), 4u);
  EXPECT_EQ(harness.metrics.num_requests_running.value(), 0);
}

TEST_P(EngineLoop, FullQueueIsAnAnswer) {
  EngineHarness harness(GetParam());
  harness.config.scheduler.max_num_queued_reqs = 4;
  Engine& engine = harness.start();
  Result<Engine::QueueTicket> three = engine.reserve(3);
  ASSERT_TRUE(three.ok());
  Result<Engine::QueueTicket> two = engine.reserve(2);
  ASSERT_FALSE(two.ok());
  EXPECT_EQ(two.status().code(), StatusCode::kExhausted);
  EXPECT_GT(two.status().retry_after_ms(), 0);
  EXPECT_EQ(harness.metrics.rejected_queue_full.value(), 1);
  EXPECT_TRUE(engine.reserve(1).ok()) << "there was room for one, and it came back";
  EXPECT_TRUE(engine.reserve(1).ok());
  Result<Engine::QueueTicket> never = engine.reserve(5);
  EXPECT_EQ(never.status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(never.status().param(), "n");
  {
    Engine::QueueTicket moved = std::move(*three);
    EXPECT_FALSE(engine.reserve(4).ok()) << "a move does not free it";
  }
  EXPECT_TRUE(engine.reserve(4).ok());
}

TEST_P(EngineLoop, SlotMayOutliveTheEngine) {
  Engine::QueueTicket ticket;
  {
    EngineHarness harness(GetParam());
    Result<Engine::QueueTicket> reserved = harness.start().reserve(2);
    ASSERT_TRUE(reserved.ok());
    ticket = std::move(*reserved);
  }
}

TEST_P(EngineLoop, CancelWhileWaitingRunningAndInFlight) {
  EngineHarness harness(GetParam());
  harness.config.scheduler.max_num_seqs = 1;
  Gate gate;
  harness.on_wait = [&](const StepPlan&) {
    gate.enter();
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  auto running = std::make_shared<Sink>(), waiting = std::make_shared<Sink>(),
       last = std::make_shared<Sink>();
  RequestId running_id = harness.submit(harness.request({1, 2}, 40), running);
  ASSERT_TRUE(gate.wait_entered());
  RequestId waiting_id = harness.submit(harness.request({3}, 40, 2), waiting);
  harness.submit(harness.request({4}, 3), last);
  engine.cancel(waiting_id);
  engine.cancel(running_id);  // its step is in flight
  engine.cancel(424242);      // no such request
  gate.open();
  ASSERT_TRUE(running->wait_ended(1));
  ASSERT_TRUE(waiting->wait_ended(2));
  EXPECT_EQ(running->finish(), FinishReason::kAbort);
  EXPECT_LE(running->tokens().size(), 1u);
  EXPECT_EQ(waiting->finish(0), FinishReason::kAbort);
  EXPECT_EQ(waiting->finish(1), FinishReason::kAbort);
  EXPECT_TRUE(waiting->tokens().empty());
  ASSERT_TRUE(last->wait_ended(1));
  EXPECT_EQ(last->tokens(), harness.expected({4}, 3));
  engine.cancel(running_id);  // has ended
  EXPECT_TRUE(engine.drain(60));
  EXPECT_TRUE(harness.all_blocks_come_back());
  EXPECT_EQ(harness.metrics.success_abort.value(), 3);
}

TEST_P(EngineLoop, CancelFreesTheBlocksOfAStream) {
  EngineHarness harness(GetParam());
  harness.on_wait = [](const StepPlan&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  RequestId id = harness.submit(harness.request({1, 2, 3}, 60), sink);
  ASSERT_TRUE(sink->wait_events(3));
  engine.cancel(id);
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->finish(), FinishReason::kAbort);
  EXPECT_TRUE(engine.drain(60));
  EXPECT_TRUE(harness.all_blocks_come_back());
}

TEST_P(EngineLoop, FinishEndsOneChoiceAndLetsTheOthersGoOn) {
  EngineHarness harness(GetParam());
  harness.on_wait = [](const StepPlan&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  RequestId id = harness.submit(harness.request({1, 2, 3}, 55, 3), sink);
  ASSERT_TRUE(sink->wait_events(6));
  engine.finish(id, 0);
  engine.finish(id, 0);
  engine.finish(id, 7);
  engine.finish(id + 1, 0);
  ASSERT_TRUE(sink->wait_ended(3));
  EXPECT_EQ(sink->finish(0), FinishReason::kStop);
  EXPECT_LT(sink->tokens(0).size(), 55u);
  EXPECT_EQ(sink->finish(1), FinishReason::kLength);
  EXPECT_EQ(sink->tokens(2).size(), 55u);
  EXPECT_TRUE(engine.drain(60));
  EXPECT_TRUE(harness.all_blocks_come_back());
  EXPECT_EQ(harness.metrics.success_stop.value(), 1);
}

TEST_P(EngineLoop, OneChoiceIsFinishedByItsReader) {
  EngineHarness harness(GetParam());
  Gate gate;
  std::atomic<bool> closed{false};
  harness.on_wait = [&](const StepPlan&) {
    if (closed) gate.enter();
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  closed = true;
  auto sink = std::make_shared<Sink>();
  RequestId id = harness.submit(harness.request({1, 2, 3}, 30, 2), sink);
  ASSERT_TRUE(gate.wait_entered());
  engine.finish(id, 1);  // no output yet: nothing to finish
  closed = false;
  gate.open();
  ASSERT_TRUE(sink->wait_events(2));
  engine.finish(id, 1);
  engine.finish(id, 1);
  ASSERT_TRUE(sink->wait_ended(2));
  EXPECT_EQ(sink->tokens(0), harness.expected({1, 2, 3}, 30));
  EXPECT_EQ(sink->finish(0), FinishReason::kLength);
  std::vector<TokenId> tokens = sink->tokens(1);
  EXPECT_EQ(tokens, harness.expected({1, 2, 3}, static_cast<int>(tokens.size()), 1));
  EXPECT_EQ(sink->finish(1) == FinishReason::kStop, tokens.size() < 30);
  EXPECT_TRUE(engine.drain(60));
}

TEST_P(EngineLoop, DrainWaitsForThoseInsideAndRefusesOthers) {
  EngineHarness harness(GetParam());
  Gate gate;
  harness.on_wait = [&](const StepPlan&) {
    gate.enter();
    return Status::ok_status();
  };
  Engine& engine = harness.start();
  auto sink = std::make_shared<Sink>();
  harness.submit(harness.request({1}, 5), sink);
  Result<Engine::QueueTicket> early = engine.reserve(1);
  ASSERT_TRUE(gate.wait_entered());
  EXPECT_FALSE(engine.drain(0.01));
  EXPECT_EQ(engine.reserve(1).status().code(), StatusCode::kUnavailable);
  auto late = std::make_shared<Sink>();
  Status refused = engine.submit(harness.request({2}, 5), std::move(*early), late);
  EXPECT_EQ(refused.code(), StatusCode::kUnavailable);
  gate.open();
  EXPECT_TRUE(engine.drain(60));
  EXPECT_EQ(sink->tokens(), harness.expected({1}, 5)) << "drain returns only after the last event";
  EXPECT_EQ(sink->finish(), FinishReason::kLength);
  EXPECT_EQ(late->num_events(), 0);
  EXPECT_TRUE(engine.is_healthy());
}

TEST_P(EngineLoop, DeadRunnerEndsEverythingAndSaysSo) {
  set_log_level(LogLevel::kOff);
  EngineHarness harness(GetParam());
  harness.config.scheduler.max_num_seqs = 2;
  Gate gate;
  int step = 0;
  harness.on_wait = [&](const StepPlan&) {
    gate.enter();
    return ++step < 3 ? Status::ok_status() : internal_error("device lost");
  };
  Engine& engine = harness.start();
  auto a = std::make_shared<Sink>(), b = std::make_shared<Sink>(), c = std::make_shared<Sink>();
  harness.submit(harness.request({1}, 50), a);
  harness.submit(harness.request({2}, 50, 3), b);
  harness.submit(harness.request({3}, 50), c);
  Result<Engine::QueueTicket> early = engine.reserve(1);
  gate.open();
  ASSERT_TRUE(a->wait_ended(1));
  ASSERT_TRUE(b->wait_ended(3));
  ASSERT_TRUE(c->wait_ended(1));
  for (Sink* sink : {a.get(), b.get(), c.get()}) {
    EXPECT_EQ(sink->finish(), FinishReason::kError);
    EXPECT_EQ(sink->error(), "device lost");
  }
  EXPECT_FALSE(engine.is_healthy());
  EXPECT_EQ(engine.failure(), "device lost");
  EXPECT_TRUE(engine.drain(60));
  EXPECT_EQ(engine.reserve(1).status().code(), StatusCode::kUnavailable);
  auto late = std::make_shared<Sink>();
  EXPECT_EQ(engine.submit(harness.request({4}, 5), std::move(*early), late).code(), StatusCode::kUnavailable);
  engine.cancel(1);
  EXPECT_EQ(harness.metrics.success_error.value(), 5);
  EXPECT_EQ(engine.stats().num_running + engine.stats().num_waiting, 0);
  harness.engine.reset();
  EXPECT_EQ(late->num_events(), 0);
  set_log_level(LogLevel::kInfo);
}

TEST_P(EngineLoop, DestructorEndsEverythingWithAbort) {
  EngineHarness harness(GetParam());
  harness.config.scheduler.max_num_seqs = 2;
  harness.on_wait = [](const StepPlan&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return Status::ok_status();
  };
  harness.start();
  auto a = std::make_shared<Sink>(), b = std::make_shared<Sink>();
  harness.submit(harness.request({1}, 60), a);
  harness.submit(harness.request({2}, 60, 4), b);
  ASSERT_TRUE(a->wait_events(2));
  harness.engine.reset();
  EXPECT_EQ(a->finish(), FinishReason::kAbort);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(b->finish(i), FinishReason::kAbort);
  EXPECT_EQ(a.use_count(), 1) << "the engine lets go of sinks";
}

TEST_P(EngineLoop, OneBadSequenceDoesNotHarmTheOthers) {
  EngineHarness harness(GetParam());
  harness.model.bad_one_in = 40;
  harness.start();
  std::vector<std::shared_ptr<Sink>> sinks;
  int num_bad = 0;
  for (int i = 0; i < 30; ++i) {
    sinks.push_back(std::make_shared<Sink>());
    harness.submit(harness.request({i, i + 1}, 20), sinks.back());
  }
  for (int i = 0; i < 30; ++i) {
    auto& sink = sinks[static_cast<std::size_t>(i)];
    ASSERT_TRUE(sink->wait_ended(1));
    bool failed = sink->finish() == FinishReason::kError;
    num_bad += failed;
    std::vector<TokenId> tokens = sink->tokens();
    EXPECT_EQ(tokens, harness.expected({i, i + 1}, static_cast<int>(tokens.size())));
    EXPECT_EQ(tokens.size() == 20, !failed);
  }
  EXPECT_GT(num_bad, 0);
  EXPECT_LT(num_bad, 30);
  EXPECT_TRUE(harness.engine->is_healthy());
}

TEST_P(EngineLoop, WakesUpForADeadline) {
  EngineHarness harness(GetParam());
  harness.start();
  auto sink = std::make_shared<Sink>();
  auto request = harness.request({1, 2}, 5);
  request->holds = kHoldGrammar;  // nothing to run, so the engine sleeps
  request->deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(30);
  harness.submit(std::move(request), sink);
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->finish(), FinishReason::kTimeout);
}

TEST_P(EngineLoop, ManyClientsAtOnce) {
  EngineHarness harness(GetParam());
  harness.num_blocks = 24;  // fewer than four long sequences need
  harness.config.scheduler.max_num_queued_reqs = 20;
  Engine& engine = harness.start();
  std::atomic<int> num_answered{0}, num_refused{0}, num_cancelled{0};
  auto client = [&](int number) {
    SplitMix64 random(static_cast<uint64_t>(number));
    for (int i = 0; i < 60; ++i) {
      int n = 1 + static_cast<int>(random.below(3)), max_tokens = 1 + static_cast<int>(random.below(40));
      std::vector<TokenId> prompt(1 + random.below(20), static_cast<TokenId>(random.below(50)));
      Result<Engine::QueueTicket> ticket = engine.reserve(n);
      if (!ticket.ok()) {
        EXPECT_EQ(ticket.status().code(), StatusCode::kExhausted);
        ++num_refused;
        std::this_thread::yield();
        continue;
      }
      auto sink = std::make_shared<Sink>();
      auto request = harness.request(prompt, max_tokens, n);
      RequestId id = request->id;
      ASSERT_TRUE(engine.submit(std::move(request), std::move(*ticket), sink).ok());
      if (random.below(3) == 0) {
        if (random.below(2) == 0) sink->wait_events(1);
        engine.cancel(id);
      }
      ASSERT_TRUE(sink->wait_ended(n));
      for (int c = 0; c < n; ++c) {
        std::vector<TokenId> tokens = sink->tokens(c);
        EXPECT_EQ(tokens, harness.expected(prompt, static_cast<int>(tokens.size()), c));
        bool whole = sink->finish(c) == FinishReason::kLength;
        EXPECT_TRUE(whole || sink->finish(c) == FinishReason::kAbort);
        EXPECT_EQ(tokens.size() == static_cast<std::size_t>(max_tokens), whole);
        (whole ? num_answered : num_cancelled)++;
      }
    }
  };
  std::vector<std::thread> clients;
  for (int i = 0; i < 12; ++i) clients.emplace_back(client, i);
  for (std::thread& thread : clients) thread.join();
  EXPECT_EQ(harness.metrics.rejected_queue_full.value(), num_refused.load());  // before more is asked for
  EXPECT_TRUE(harness.all_slots_come_back());
  EXPECT_TRUE(engine.drain(60));
  EXPECT_TRUE(harness.all_blocks_come_back());
  EXPECT_GT(num_answered.load(), 100);
  EXPECT_GT(num_cancelled.load(), 20);
  EXPECT_EQ(harness.metrics.success_length.value(), num_answered.load());
  EXPECT_EQ(harness.metrics.success_abort.value(), num_cancelled.load());
}

}  // namespace
}  // namespace pagoda
