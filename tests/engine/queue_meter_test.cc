#include "engine/queue_meter.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

using Lack = QueueMeter::Lack;

struct Clock {
  Time now = Time{} + std::chrono::hours(1);
  Time after(double seconds) {
    now += std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(seconds));
    return now;
  }
};

TEST(QueueMeter, BoundsChoicesAndTokens) {
  QueueMeter meter(4, 100);
  Clock clock;
  EXPECT_EQ(meter.take_choices(3, clock.now).lack, Lack::kNothing);
  EXPECT_EQ(meter.take_choices(2, clock.now).lack, Lack::kChoices);
  EXPECT_EQ(meter.take_tokens(99, clock.now).lack, Lack::kNothing);
  EXPECT_EQ(meter.take_tokens(2, clock.now).lack, Lack::kTokens);
  EXPECT_EQ(meter.take_choices(1, clock.now).lack, Lack::kNothing) << "a token is free: it may be enough";
  EXPECT_EQ(meter.take_tokens(1, clock.now).lack, Lack::kNothing);
  meter.give_back(1, 0, true, clock.now);
  EXPECT_EQ(meter.take_choices(1, clock.now).lack, Lack::kTokens) << "refused before it is tokenized";
  meter.give_back(3, 100, true, clock.now);
  EXPECT_EQ(meter.take_choices(4, clock.now).lack, Lack::kNothing);
  EXPECT_EQ(meter.take_tokens(100, clock.now).lack, Lack::kNothing);
}

TEST(QueueMeter, NoBoundOnTokens) {
  QueueMeter meter(4, 0);
  EXPECT_EQ(meter.take_tokens(int64_t{1} << 40, Clock().now).lack, Lack::kNothing);
}

// Choices leave one every `period`; how long until `wanted` more places are there?
TEST(QueueMeter, TellsWhenThereWillBeRoom) {
  struct Case {
    double period_s;
    int32_t wanted;
    int expected_ms;
  } cases[] = {{0.1, 1, 1000}, {2, 1, 2000}, {2, 5, 10'000}, {30, 1, 30'000}, {30, 10, 60'000}};
  for (const Case& one : cases) {
    QueueMeter meter(10, 0);
    Clock clock;
    ASSERT_EQ(meter.take_choices(10, clock.now).lack, Lack::kNothing);
    for (int i = 0; i < 50; ++i) {
      clock.after(one.period_s);
      meter.give_back(1, 7, true, clock.now);
      ASSERT_EQ(meter.take_choices(1, clock.now).lack, Lack::kNothing);
    }
    EXPECT_NEAR(meter.take_choices(one.wanted, clock.now).retry_after_ms, one.expected_ms,
                one.expected_ms * 0.5 + 1)
        << one.period_s;
    EXPECT_EQ(meter.take_choices(one.wanted, clock.now).retry_after_ms % 1000, 0) << "whole seconds";
  }
}

TEST(QueueMeter, IdleTimeAndThoseNeverServedSayNothing) {
  QueueMeter meter(1, 50);
  Clock clock;
  auto serve = [&](double seconds) {
    ASSERT_EQ(meter.take_choices(1, clock.now).lack, Lack::kNothing);
    ASSERT_EQ(meter.take_tokens(50, clock.now).lack, Lack::kNothing);
    meter.give_back(1, 50, true, clock.after(seconds));
  };
  for (int i = 0; i < 5; ++i) {
    serve(4);
    clock.after(1000);  // nobody is there
    ASSERT_EQ(meter.take_choices(1, clock.now).lack, Lack::kNothing);
    meter.give_back(1, 0, false, clock.now);  // a prompt that was refused
  }
  ASSERT_EQ(meter.take_choices(1, clock.now).lack, Lack::kNothing);
  EXPECT_NEAR(meter.take_choices(1, clock.now).retry_after_ms, 4000, 1000);
  ASSERT_EQ(meter.take_tokens(50, clock.now).lack, Lack::kNothing);
  EXPECT_NEAR(meter.take_tokens(50, clock.now).retry_after_ms, 4000, 1000);
}

TEST(QueueMeter, BeforeAnybodyHasLeftItIsAtLeastAsLongAgain) {
  QueueMeter meter(1, 0);
  Clock clock;
  ASSERT_EQ(meter.take_choices(1, clock.now).lack, Lack::kNothing);
  EXPECT_EQ(meter.take_choices(1, clock.now).retry_after_ms, 1000);
  EXPECT_GE(meter.take_choices(1, clock.after(10)).retry_after_ms, 7000);
  EXPECT_LE(meter.take_choices(1, clock.after(1e6)).retry_after_ms, 60'000);
}

}  // namespace
}  // namespace pagoda
