// Steps that give each of many sequences a token ask for no memory: counted is every operator new of the
// process, on all threads, between launch() and the end of wait(): rows, batch, forward pass, sampler,
// result. (Scratch of the ops is not made by operator new; it grows with the largest step and stays.)
#include <gtest/gtest.h>

#include "tests/runner/plan_driver.h"
#include "tests/testing/failing_new.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using testing::PlanDriver;
using testing::RunnerOptions;

// All that sampling knows, in turns.
SamplingParams params_of(int i) {
  SamplingParams p;
  p.seed = static_cast<uint64_t>(i) + 1;
  p.max_tokens = 100;
  if (i % 2 == 0) p.temperature = 0;
  if (i % 3 == 1) p.top_k = 12, p.top_p = 0.9f;
  if (i % 3 == 2) p.min_p = 0.03f;
  if (i % 4 == 1) p.repetition_penalty = 1.3f, p.presence_penalty = 0.2f, p.frequency_penalty = 0.1f;
  if (i % 5 == 1) p.num_logprobs = 5;
  if (i % 7 == 1) p.logit_bias = {{3, 1.5f}}, p.allowed_token_ids = {3, 5, 8, 13, 21, 34};
  if (i % 7 == 2) p.bad_words = {{4}, {5, 6}}, p.min_tokens = 60, p.eos_token_ids = {7};
  return p;
}

TEST(SteadyStep, AsksForNoMemory) {
  if (!can_allocations_fail()) GTEST_SKIP();
  constexpr int kRows = 256, kWarmUp = 40, kCounted = 40;
  testing::TempDir dir;
  write_tiny_model(testing::make_tiny_model({.vocab = 300}), dir.path());
  for (int threads : {1, 2}) {
    RunnerOptions options;
    options.num_threads = threads;
    options.max_num_seqs = kRows;
    options.max_num_batched_tokens = 3 * kRows;
    options.num_blocks = kRows * 6 + 1;
    auto runner = load_runner(dir.path(), options);
    PlanDriver driver(runner.get(), options);
    std::vector<std::pair<std::size_t, int32_t>> prompts, decodes;
    for (int i = 0; i < kRows; ++i) {
      const std::size_t seq = driver.add({1, i % 300, 2}, params_of(i));
      prompts.push_back({seq, 3});
      decodes.push_back({seq, 1});
    }
    driver.step(prompts);
    for (int i = 0; i < kWarmUp; ++i) driver.step(decodes);
    StepResult result;  // its vectors are made once
    for (int i = 0; i <= kCounted; ++i) {
      const StepPlan plan = driver.plan(decodes);
      const int64_t before = num_allocations;
      ASSERT_TRUE(runner->launch(plan).ok());
      ASSERT_TRUE(runner->wait(plan.step_id, &result).ok());
      const int64_t count = num_allocations - before;
      driver.take(plan, result);
      if (i > 0) {
        EXPECT_EQ(count, 0) << "step " << i << " with " << threads << " threads";
      }
    }
    EXPECT_GT(result.top.size(), 0u);
    EXPECT_GT(num_allocations, kRows) << "nothing is counted";
  }
}

}  // namespace
}  // namespace pagoda
