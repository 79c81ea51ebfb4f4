// Every allocation that each thread makes for a request fails in its turn: the process goes on, a client that
// waits hears of it, and what was taken is given back.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/question.h"
#include "tests/testing/scripted_engine.h"

namespace pagoda {
namespace {

using testing::Question;
using testing::ScriptedEngine;

constexpr int kAllocationsMax = 3000;

Question request_of(const std::string& text, int32_t n, std::optional<int64_t> num_logprobs) {
  Question request;
  request.prompt = std::vector<TextPrompt>{text};
  request.n = n;
  request.num_logprobs = num_logprobs;
  request.sampling.max_tokens = 20;
  request.stop = {"never"};
  return request;
}

// Reads a stream to its end.
class Reader {
 public:
  // False: it was refused.
  bool admit(Intake* intake, Question request) try {
    auto wake = [signal = signal_, on_wake = on_wake] {
      if (on_wake) on_wake();
      std::lock_guard lock(signal->mutex);
      signal->awake = true;
      signal->changed.notify_all();
    };
    Result<OutputStream> stream = testing::admit(intake, std::move(request), wake);
    if (stream.ok()) stream_ = std::move(*stream);
    return stream.ok();
  } catch (const std::bad_alloc&) {
    return false;  // the caller's own memory: HTTP answers 500
  }

  // The text, or "error".
  std::string read() {
    std::string text;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!stream_.done()) {
      TextDelta delta;
      while (stream_.next(&delta)) {
        if (!delta.error.ok()) return "error";
        if (delta.choice == 0) text += delta.text;
      }
      std::unique_lock lock(signal_->mutex);
      if (!stream_.done() && !signal_->changed.wait_until(lock, end, [this] { return signal_->awake; }))
        return "no answer";
      signal_->awake = false;
    }
    return text;
  }

  void hear_of_its_beginning() {
    std::unique_lock lock(signal_->mutex);
    EXPECT_TRUE(signal_->changed.wait_for(lock, std::chrono::seconds(30), [this] { return signal_->awake; }));
    signal_->awake = false;
    TextDelta delta;
    EXPECT_FALSE(stream_.next(&delta) && !delta.text.empty());
  }

  // On the publisher's thread, but where the request fails before the engine. It may be called after the
  // reader has read everything and is gone: what it refers to must outlive the engine.
  std::function<void()> on_wake;

 private:
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool awake = false;
  };
  const std::shared_ptr<Signal> signal_ = std::make_shared<Signal>();
  OutputStream stream_;
};

enum class Where { kCaller, kTextPool, kEngine, kPublisher };

struct Outcome {
  std::string victim, other;
  bool failed = false;  // there was a k-th allocation
  bool healthy = true;
};

void wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

// The k-th allocation that the thread makes for the victim fails.
Outcome fail_allocation(Where where, int k) {
  Outcome outcome;
  std::atomic<bool> arm_publisher{false}, arm_engine{false}, hold_engine{where == Where::kPublisher};
  ScriptedEngine scripted;
  scripted.on_step = [&] {
    while (hold_engine) std::this_thread::yield();
    if (arm_engine.exchange(false)) allocations_until_failure = k;
    return Status();
  };
  scripted.start();
  const int64_t before = num_failures.load();
  Reader victim, other;
  other.on_wake = [&] {
    if (arm_publisher.exchange(false)) allocations_until_failure = k;
  };
  allocations_may_fail = where == Where::kPublisher;  // it may be done before the victim is there
  EXPECT_TRUE(other.admit(scripted.intake.get(), request_of("other", 1, {})));
  if (where == Where::kPublisher) {
    other.hear_of_its_beginning();  // from the text pool; what wakes it next is the publisher
    arm_publisher = true;
  }
  hold_engine = false;
  std::latch both(2);  // the pool has two threads
  for (int i = 0; i < 2 && where == Where::kTextPool; ++i)
    EXPECT_TRUE(scripted.text_pool
                    ->submit([&both, k] {
                      both.arrive_and_wait();
                      allocations_until_failure = k;
                    })
                    .ok());
  arm_engine = where == Where::kEngine;
  Question request = request_of("victim", 3, 4);
  allocations_may_fail = true;
  if (where == Where::kCaller) allocations_until_failure = k;
  const bool admitted = victim.admit(scripted.intake.get(), std::move(request));
  allocations_until_failure = -1;
  outcome.victim = admitted ? victim.read() : "error";
  outcome.other = other.read();
  allocations_may_fail = false;
  outcome.failed = num_failures.load() > before;
  outcome.healthy = scripted.engine->is_healthy();
  if (!outcome.healthy) return outcome;
  // Places and blocks are back, and a next one is served.
  wait_for([&] { return scripted.engine->reserve(scripted.config.scheduler.max_num_queued_reqs).ok(); });
  wait_for([&] { return scripted.engine->stats().num_running == 0; });
  Reader next;
  EXPECT_TRUE(next.admit(scripted.intake.get(), request_of("next", 1, {})));
  EXPECT_EQ(next.read(), "Hello, world.");
  return outcome;
}

// The thread that wakes the reader finds no memory to do so, once or three times on end: the reader hears of
// it all the same.
TEST(OutOfMemory, AReaderThatCouldNotBeWoken) {
  set_log_level(LogLevel::kOff);
  for (int times : {1, 3}) {
    for (int first = 0; first < 8; ++first) {
      std::atomic<int> num_wakes{0};
      ScriptedEngine scripted;
      scripted.start();
      Reader reader;
      reader.on_wake = [&] {
        const int now = num_wakes++;
        if (now >= first && now < first + times) throw std::bad_alloc();
      };
      ASSERT_TRUE(reader.admit(scripted.intake.get(), request_of("reader", 1, 2)));
      const std::string text = reader.read();
      EXPECT_TRUE(text == "error" || text == "Hello, world.") << first << ": " << text;
    }
  }
}

// Until the thread makes no k-th allocation any more.
void fail_each(Where where, bool may_kill_the_engine, bool may_fail_others) {
  if (!can_allocations_fail()) GTEST_SKIP() << "ThreadSanitizer has operators of its own";
  set_log_level(LogLevel::kOff);
  int k = 0, in_a_row = 0;
  for (; k < kAllocationsMax && in_a_row < 3; k += k < 60 ? 1 : 7) {
    const Outcome outcome = fail_allocation(where, k);
    in_a_row = outcome.failed ? 0 : in_a_row + 1;
    EXPECT_TRUE(outcome.victim == "error" || outcome.victim == "Hello, world.")
        << k << ": " << outcome.victim;
    EXPECT_TRUE(outcome.healthy || may_kill_the_engine) << k;
    // The engine and its publisher work for both: what is not there fails the one that it was for.
    const bool for_both = where == Where::kEngine || where == Where::kPublisher;
    const bool may_fail = for_both && (may_fail_others || outcome.victim == "Hello, world.");
    EXPECT_TRUE(outcome.other == "Hello, world." || (may_fail && outcome.other == "error"))
        << k << ": " << outcome.other << ", " << outcome.victim;
    if (::testing::Test::HasFailure()) break;
  }
  set_log_level(LogLevel::kInfo);
  EXPECT_GT(k, 3) << "nothing has failed";
}

// No reserve yet: the engine's accounting can not be kept, so it ends, in order.
TEST(OutOfMemory, AnEngineWithoutAReserveEndsInOrder) {
  fail_each(Where::kEngine, true, true);
}

TEST(OutOfMemory, WhatThePublisherLosesFailsItsRequest) {
  fail_each(Where::kPublisher, false, true);
}

TEST(OutOfMemory, WithAReserveTheEngineGoesOn) {
  ASSERT_TRUE(keep_memory_reserve(1 << 20));
  fail_each(Where::kEngine, false, false);
}

TEST(OutOfMemory, OnTheTextPoolTheRequestFails) {
  fail_each(Where::kTextPool, false, false);
}

TEST(OutOfMemory, AtTheDoorTheRequestFails) {
  fail_each(Where::kCaller, false, false);
}

}  // namespace
}  // namespace pagoda
