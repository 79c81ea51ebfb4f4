#include "engine/admission_limiter.h"

#include <gtest/gtest.h>

#include "tests/engine/limiter_harness.h"

namespace pagoda {
namespace {

using Rejection = AdmissionLimiter::Rejection;
using testing::LimiterHarness;

TEST(AdmissionLimiter, BoundsChoicesAndTokens) {
  LimiterHarness queue(4, 100);
  EXPECT_EQ(queue.come(0, 1).rejection, Rejection::kNone);
  EXPECT_EQ(queue.come(1, 2).rejection, Rejection::kNone);
  EXPECT_EQ(queue.come(2, 2).rejection, Rejection::kChoices);
  EXPECT_EQ(queue.tokens(1, 99).rejection, Rejection::kNone);
  EXPECT_EQ(queue.tokens(0, 2).rejection, Rejection::kTokens);
  EXPECT_EQ(queue.come(2, 1).rejection, Rejection::kNone) << "a token is free: it may be enough";
  EXPECT_EQ(queue.tokens(2, 1).rejection, Rejection::kNone);
  queue.go(0);
  EXPECT_EQ(queue.come(3, 1).rejection, Rejection::kTokens) << "refused before it is tokenized";
  queue.go(1);
  queue.go(2);
  EXPECT_EQ(queue.limiter.num_choices(), 0);
  EXPECT_EQ(queue.come(3, 4).rejection, Rejection::kNone);
  EXPECT_EQ(queue.tokens(3, 100).rejection, Rejection::kNone);
}

TEST(AdmissionLimiter, NothingGivenBackChangesNothing) {
  LimiterHarness queue(4, 0);
  ASSERT_EQ(queue.come(0, 2).rejection, Rejection::kNone);
  QueueClaim* claim = queue.holders[0].claim.get();
  queue.begin(0);
  queue.limiter.give_back(claim, 0, 0, true, false, queue.now);
  EXPECT_EQ(queue.limiter.num_choices(), 2);
  queue.go(0);
  EXPECT_EQ(queue.limiter.num_choices(), 0);
}

TEST(AdmissionLimiter, NoBoundOnTokens) {
  LimiterHarness queue(4, 0);
  ASSERT_EQ(queue.come(0, 1).rejection, Rejection::kNone);
  EXPECT_EQ(queue.tokens(0, int64_t{1} << 40).rejection, Rejection::kNone);
}

// Choices leave one every `period`; how long until `wanted` more places are there?
TEST(AdmissionLimiter, TellsWhenThereWillBeRoom) {
  struct Case {
    double period_s;
    int32_t wanted;
    int expected_ms;
  } cases[] = {{0.1, 1, 1000}, {2, 1, 2000}, {2, 5, 10'000}, {30, 1, 30'000}, {30, 10, 60'000}};
  for (const Case& one : cases) {
    LimiterHarness queue(10, 0);
    for (int i = 0; i < 10; ++i) ASSERT_EQ(queue.come(i, 1).rejection, Rejection::kNone);
    for (int i = 0; i < 50; ++i) {
      queue.after(one.period_s);
      queue.go(i % 10);
      ASSERT_EQ(queue.come(i % 10, 1).rejection, Rejection::kNone);
    }
    const int told_ms = queue.come(99, one.wanted).retry_after_ms;
    EXPECT_NEAR(told_ms, one.expected_ms, one.expected_ms * 0.5 + 1) << one.period_s;
    EXPECT_EQ(told_ms % 1000, 0) << "whole seconds";
  }
}

TEST(AdmissionLimiter, IdleTimeAndThoseNeverServedSayNothing) {
  LimiterHarness queue(1, 50);
  auto serve = [&](double seconds) {
    ASSERT_EQ(queue.come(0, 1).rejection, Rejection::kNone);
    ASSERT_EQ(queue.tokens(0, 50).rejection, Rejection::kNone);
    queue.after(seconds);
    queue.go(0);
  };
  for (int i = 0; i < 5; ++i) {
    serve(4);
    queue.after(1000);  // the queue is empty
    ASSERT_EQ(queue.come(0, 1).rejection, Rejection::kNone);
    queue.go(0, false);  // a prompt that was refused
  }
  ASSERT_EQ(queue.come(0, 1).rejection, Rejection::kNone);
  EXPECT_NEAR(queue.come(1, 1).retry_after_ms, 4000, 1000);
  ASSERT_EQ(queue.tokens(0, 50).rejection, Rejection::kNone);
  EXPECT_NEAR(queue.tokens(0, 50).retry_after_ms, 4000, 1000);
}

TEST(AdmissionLimiter, BeforeAnybodyHasLeftItIsAtLeastAsLongAgain) {
  LimiterHarness queue(1, 0);
  ASSERT_EQ(queue.come(0, 1).rejection, Rejection::kNone);
  EXPECT_EQ(queue.come(1, 1).retry_after_ms, 1000);
  queue.after(10);
  EXPECT_GE(queue.come(1, 1).retry_after_ms, 7000);
  queue.after(1e6);
  EXPECT_LE(queue.come(1, 1).retry_after_ms, 60'000);
}

}  // namespace
}  // namespace pagoda
