// Where memory ends in a step, the request that asks for most of it is dropped; all others get, in every bit,
// what they get alone.
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "base/memory_reserve.h"
#include "tests/runner/plan_driver.h"
#include "tests/testing/allocations.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using testing::Outcome;
using testing::PlanDriver;
using testing::RunnerOptions;

constexpr int kVocab = 300, kSteps = 6;
constexpr std::size_t kPlain = 0, kSome = 1, kHog = 2, kHogTwin = 3, kCount = 4;

SamplingParams params_of(std::size_t who) {
  SamplingParams params;
  params.seed = who + 1;
  params.max_tokens = 50;
  if (who == kPlain) params.temperature = 0, params.repetition_penalty = 1.2f;
  if (who == kSome) params.num_logprobs = 3, params.num_prompt_logprobs = 2;
  if (who >= kHog) params.num_logprobs = kVocab;
  if (who == kHog) params.num_prompt_logprobs = kVocab;
  return params;
}

class StepWithoutMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_allocations_fail()) GTEST_SKIP();
    allocations_may_fail = true;
    write_tiny_model(testing::make_tiny_model({.vocab = kVocab}), dir_.path());
    options_.logits_bytes = 3 * kVocab * sizeof(float);  // in rounds
    alone_ = run([] {});
    for (const Outcome& outcome : alone_) ASSERT_FALSE(outcome.bad);
    disarm();
  }
  void TearDown() override { allocations_may_fail = false; }
  static void disarm() {
    allocations_until_failure = -1;
    smallest_failure = SIZE_MAX;
  }

  // Some steps of all of them, with `arm` called before each runs; empty where the runner gave up.
  template <class Arm>
  std::vector<Outcome> run(Arm arm) {
    disarm();
    auto runner = testing::load_runner(dir_.path(), options_);
    PlanDriver driver(runner.get(), options_);
    for (std::size_t who : {kPlain, kSome, kHog})
      driver.add({1, static_cast<TokenId>(who), 2, 7, 5, 3}, params_of(who));
    EXPECT_EQ(driver.add_twin(kHog, params_of(kHogTwin)), kHogTwin);
    StepResult result;
    for (int step = 0; step < kSteps; ++step) {
      std::vector<std::pair<std::size_t, int32_t>> pieces;
      for (std::size_t who = 0; who < (step == 0 ? kHogTwin : kCount); ++who)
        if (!driver[who].outcome.bad) pieces.push_back({who, driver[who].num_waiting()});
      const StepPlan plan = driver.plan(pieces);
      EXPECT_TRUE(runner->launch(plan).ok());
      arm();
      const Status done = runner->wait(plan.step_id, &result);
      disarm();
      if (!done.ok()) return {};
      EXPECT_FALSE(result.no_memory);
      driver.take(plan, result);
    }
    std::vector<Outcome> outcomes;
    for (std::size_t who = 0; who < kCount; ++who) outcomes.push_back(driver[who].outcome);
    return outcomes;
  }

  void expect_as_alone(const std::vector<Outcome>& outcomes, std::size_t who) {
    const Outcome &got = outcomes[who], &want = alone_[who];
    EXPECT_EQ(got.tokens, want.tokens) << who;
    EXPECT_EQ(got.logprobs, want.logprobs) << who;
    EXPECT_EQ(got.prompt_logprobs, want.prompt_logprobs) << who;
    auto ids_and_values = [](const std::vector<std::vector<TopLogprob>>& rows) {
      std::vector<std::pair<TokenId, float>> flat;
      for (const auto& row : rows)
        for (const TopLogprob& top : row) flat.push_back({top.id, top.logprob});
      return flat;
    };
    EXPECT_EQ(ids_and_values(got.top), ids_and_values(want.top)) << who;
    EXPECT_EQ(ids_and_values(got.prompt_top), ids_and_values(want.prompt_top)) << who;
  }

  testing::TempDir dir_;
  RunnerOptions options_;
  std::vector<Outcome> alone_;
};

TEST_F(StepWithoutMemory, DropsWhoAsksForMost) {
  const auto outcomes = run([] { smallest_failure = 2 * kVocab * sizeof(TopLogprob); });
  ASSERT_EQ(outcomes.size(), kCount) << "the runner goes on";
  EXPECT_TRUE(outcomes[kHog].bad && outcomes[kHogTwin].bad) << "both choices of the request";
  for (std::size_t who : {kPlain, kSome}) expect_as_alone(outcomes, who);
}

// With a reserve, as the engine's thread has it, only what is large can fail; without, everything can.
TEST_F(StepWithoutMemory, AnyAllocationMayFail) {
  for (const bool has_reserve : {true, false}) {
    int num_given_up = 0, num_dropped = 0;
    for (int64_t k = 0;; ++k) {
      ASSERT_TRUE(keep_memory_reserve());
      std::optional<UseOfReserve> use;
      if (has_reserve) use.emplace();
      const int64_t failures = num_failures;
      int64_t next = k;
      const auto outcomes = run([&] { allocations_until_failure = std::exchange(next, -1); });
      num_given_up += outcomes.empty();
      int num_bad = 0;
      for (std::size_t who = 0; who < outcomes.size(); ++who) {
        if (outcomes[who].bad)
          num_bad += who != kHogTwin || !outcomes[kHog].bad;
        else
          expect_as_alone(outcomes, who);
      }
      EXPECT_LE(num_bad, 1) << k;
      num_dropped += num_bad;
      if (num_failures == failures) break;
    }
    EXPECT_GT(num_dropped, 3);
    EXPECT_LE(num_given_up, has_reserve ? 0 : 8) << "the small vectors of a result";
  }
}

}  // namespace
}  // namespace pagoda
