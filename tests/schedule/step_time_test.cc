#include "schedule/step_time.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace pagoda {
namespace {

StepShape shape_of(int decodes, int context, int chunk, int computed) {
  StepShape shape;
  for (int i = 0; i < decodes; ++i) shape.add_decode(context);
  if (chunk > 0) shape.add_prefill(computed, chunk);
  return shape;
}

// Steps as a CPU takes them: weights are read once, arithmetic passes that at some rows, attention on top.
double true_ms(const StepShape& shape) {
  return 2 + std::max(30., 1.6 * static_cast<double>(shape.num_tokens)) +
         2e-4 * static_cast<double>(shape.decode_context) + 3e-5 * shape.prefill_pairs;
}

TEST(StepTimeModel, LearnsAFewDozenStepsWell) {
  StepTimeModel model;
  SplitMix64 random(5);
  auto draw = [&] {
    return shape_of(static_cast<int>(random.below(32)), static_cast<int>(random.below(2000)),
                    1 + static_cast<int>(random.below(256)), static_cast<int>(random.below(8000)));
  };
  for (int i = 0; i < 60; ++i) {
    const StepShape shape = draw();
    model.observe(shape, true_ms(shape));
  }
  ASSERT_TRUE(model.is_ready());
  for (int i = 0; i < 200; ++i) {
    const StepShape shape = draw();
    EXPECT_NEAR(model.predict_ms(shape) / true_ms(shape), 1, 0.2) << shape.num_tokens;
  }
}

TEST(StepTimeModel, ThousandsOfDecodesDoNotMakeItForgetPrompts) {
  StepTimeModel model;
  for (int chunk : {16, 64, 256, 128, 32, 256, 64, 16}) {
    const StepShape shape = shape_of(4, 100, chunk, 0);
    model.observe(shape, true_ms(shape));
  }
  for (int i = 0; i < 5000; ++i) {
    const StepShape shape = shape_of(4, 100 + i / 10, 0, 0);
    model.observe(shape, true_ms(shape));
  }
  const StepShape big = shape_of(4, 600, 200, 0);
  EXPECT_NEAR(model.predict_ms(big) / true_ms(big), 1, 0.2);
}

TEST(StepTimeModel, NeverFallsWhenMoreIsToBeDone) {
  StepTimeModel model;
  SplitMix64 random(9);
  for (int i = 0; i < 300; ++i)  // noise without sense
    model.observe(
        shape_of(static_cast<int>(random.below(20)), 500, 1 + static_cast<int>(random.below(100)), 0),
        1 + 50 * random.uniform());
  for (int chunk = 1; chunk < 500; ++chunk)
    EXPECT_LE(model.predict_ms(shape_of(4, 100, chunk, 0)), model.predict_ms(shape_of(4, 100, chunk + 1, 0)));
}

TEST(StepTimeModel, FollowsAMachineThatBecomesSlower) {
  StepTimeModel model;
  const StepShape shape = shape_of(8, 300, 0, 0);
  for (int i = 0; i < 200; ++i) model.observe(shape, 30);
  for (int i = 0; i < 200; ++i) model.observe(shape, 60);
  EXPECT_NEAR(model.predict_ms(shape), 60, 3);
}

TEST(StepTimeModel, NonsenseIsNotLearnt) {
  StepTimeModel model;
  const StepShape shape = shape_of(8, 300, 0, 0);
  for (double ms : {0., -5., std::nan("")}) model.observe(shape, ms);
  model.observe({}, 5);
  EXPECT_FALSE(model.is_ready());
  EXPECT_EQ(model.predict_ms(shape), 0);
}

}  // namespace
}  // namespace pagoda
