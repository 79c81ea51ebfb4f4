#include "engine/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

namespace pagoda {
namespace {

using std::chrono::seconds;

TEST(Heartbeat, CountsFromTheLastTickWhileThereIsWork) {
  Heartbeat heartbeat;
  const Time start = Time{} + std::chrono::hours(1);
  EXPECT_EQ(heartbeat.stalled_s(start), 0);
  heartbeat.mark_pending(start);
  heartbeat.mark_pending(start + seconds(3));  // no step since
  EXPECT_EQ(heartbeat.stalled_s(start + seconds(5)), 5);
  heartbeat.tick(start + seconds(6));
  EXPECT_EQ(heartbeat.stalled_s(start + seconds(7)), 1);
  EXPECT_EQ(heartbeat.stalled_s(start), 0) << "a clock read before the tick";
  heartbeat.idle();
  EXPECT_EQ(heartbeat.stalled_s(start + seconds(100)), 0);
}

TEST(Heartbeat, DescribesTheStep) {
  Heartbeat heartbeat;
  StepPlan plan;
  plan.step_id = 17;
  plan.num_tokens = 33;
  plan.work.resize(2);
  heartbeat.plan(plan);
  heartbeat.state({.num_running = 4, .num_waiting = 5, .kv_usage = 0.25});
  heartbeat.tick(Time{} + seconds(1));
  std::string text = heartbeat.describe(Time{} + seconds(8));
  for (const char* words : {"step 17", "2 rows", "33 tokens", "4 running", "5 waiting", "25.0%", "7.0 s"})
    EXPECT_THAT(text, ::testing::HasSubstr(words));
}

TEST(Watchdog, BarksOnceAndOnlyAtAStall) {
  std::atomic<double> stalled{0};
  std::atomic<int> polls{0}, barks{0};
  Watchdog watchdog(
      0.02,
      [&] {
        ++polls;
        return stalled.load();
      },
      [&](double seconds_stalled) {
        EXPECT_GT(seconds_stalled, 0.02);
        ++barks;
      });
  while (polls < 3) std::this_thread::yield();
  EXPECT_EQ(barks, 0);
  stalled = 5;
  while (barks == 0) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(barks, 1);
}

// A process that was stopped for an hour finds its last step an hour old, and goes on.
TEST(Watchdog, TimeInWhichItDidNotRunEitherDoesNotCount) {
  constexpr double kTimeout = 0.2;
  std::atomic<bool> barked{false};
  std::atomic<int> polls{0};
  const auto begin = std::chrono::steady_clock::now();
  auto stalled_s = [&] {
    // A tick is a quarter of the timeout: that it slept for an hour shows as one long tick, here as a stall
    // that is an hour old when it is first looked at. A step follows at once.
    return ++polls == 2 ? 3600.0 : 0.0;
  };
  {
    Watchdog watchdog(kTimeout, stalled_s, [&](double) { barked = true; });
    while (polls < 5) std::this_thread::yield();
  }
  EXPECT_FALSE(barked);
  std::atomic<double> barked_after{0};
  Watchdog watchdog(
      kTimeout, [] { return 3600.0; },
      [&](double) {
        barked_after = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      });
  while (barked_after == 0) std::this_thread::yield();
  EXPECT_GT(barked_after, kTimeout) << "it must have watched for so long";
}

TEST(Watchdog, EndsWithItsOwner) {
  Watchdog watchdog(
      1e6, [] { return 0.0; }, [](double) { ADD_FAILURE(); });
}

}  // namespace
}  // namespace pagoda
