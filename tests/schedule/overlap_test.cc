// Two plans in flight: what the second one says, and what commits make of it.
#include <numeric>
#include <vector>

#include "tests/schedule/scheduler_fixture.h"

namespace pagoda {
namespace {

class OverlapTest : public SchedulerTest {
 protected:
  void make_overlapped(int max_num_batched_tokens = 64, int num_blocks = 101, int max_model_len = 100,
                       const std::vector<KvGroupSpec>& groups = {testing::full_group(4)}) {
    make({.max_num_seqs = 8,
          .max_in_flight = 2,
          .max_num_batched_tokens = max_num_batched_tokens,
          .max_model_len = max_model_len},
         groups, num_blocks);
  }
  // With the prompt of another request.
  void submit_as(RequestId id, RequestId other, int num_prompt) {
    auto request = std::make_unique<Request>();
    request->id = id;
    std::vector<TokenId> prompt(static_cast<std::size_t>(num_prompt));
    std::iota(prompt.begin(), prompt.end(), 1000 * static_cast<int>(other));
    request->prompt = std::move(prompt);
    request->params.max_tokens = 3;
    scheduler_->submit(std::move(request), now_, &events_);
  }
  TokenId token_of(std::size_t i) const {
    return plan_->tokens[static_cast<std::size_t>(plan_->work[i].token_begin)];
  }
};

TEST_F(OverlapTest, APlanGoesOnFromTheTokenThatTheOneBeforeSamples) {
  make_overlapped();
  submit(6);
  plan();
  for (int i = 1; i <= 5; ++i) {
    plan();
    EXPECT_EQ(work(), (std::vector<Ints>{{0, 5 + i, 1}}));
    EXPECT_EQ(token_of(0), kFromLastStep);
    ASSERT_EQ(plan_->samples.size(), 1u);
    EXPECT_EQ(plan_->samples[0].output_index, i);
    commit(50 + i);
    const std::vector<TokenEvent> events = take_events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].out.token[0], 50 + i);
    EXPECT_EQ(events[0].counts.num_output, i);
  }
}

TEST_F(OverlapTest, WhatIsKnownToEndIsNotOvershot) {
  struct Case {
    int max_tokens, max_model_len, num_samples;
  };
  for (const Case& c : {Case{1, 100, 1}, {2, 100, 2}, {3, 100, 3}, {50, 8, 2}}) {
    make_overlapped(64, 101, c.max_model_len);
    submit(6, c.max_tokens);
    int num_samples = 0;
    while (scheduler_->has_work()) {
      while (in_flight_.size() < 2 && !plan().empty()) num_samples += static_cast<int>(plan_->samples.size());
      commit();
    }
    EXPECT_EQ(num_samples, c.num_samples);
    EXPECT_TRUE(in_flight_.empty());
    EXPECT_EQ(take_events().back().finish, FinishReason::kLength);
  }
}

TEST_F(OverlapTest, TheTokenBehindAnEndIsDroppedAndBlocksStayUntilItsPlanIsCommitted) {
  make_overlapped();
  submit(6);
  submit(7);
  plan();
  plan();
  commit(kEos);
  EXPECT_EQ(take_events().size(), 2u);
  EXPECT_EQ(kv_->num_free(), 100 - 4) << "a plan in flight writes to them";
  EXPECT_TRUE(plan().empty());
  submit(5);
  plan();
  EXPECT_EQ(plan_->freed_rows, (Ints{0, 1}));
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 5}})) << "a row is free at once: plans run in their order";
  commit();
  EXPECT_TRUE(take_events().empty()) << "row 0 was another's in that plan";
  EXPECT_EQ(kv_->num_free(), 100 - 2);
  commit(60);
  const std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].id, 3u);
  EXPECT_EQ(events[0].out.token[0], 60);
}

TEST_F(OverlapTest, EndsFromOutsideWhileTwoPlansAreInFlight) {
  for (const FinishReason how : {FinishReason::kAbort, FinishReason::kStop, FinishReason::kTimeout}) {
    make_overlapped();
    deadline_ = how == FinishReason::kTimeout ? now_ + std::chrono::seconds(10) : Time::max();
    const RequestId id = submit(6);
    plan();
    plan();
    commit();
    take_events();
    if (how == FinishReason::kTimeout) {
      now_ += std::chrono::seconds(20);
      EXPECT_TRUE(plan().empty());
    } else {
      plan();
      if (how == FinishReason::kAbort) scheduler_->cancel(id, now_, &events_);
      if (how == FinishReason::kStop) scheduler_->finish(id, 0, now_, &events_);
    }
    scheduler_->check();
    const std::vector<TokenEvent> events = take_events();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].finish, how);
    EXPECT_EQ(events[0].counts.num_output, 1);
    while (!in_flight_.empty()) {
      EXPECT_LT(kv_->num_free(), 100);
      commit();
    }
    EXPECT_TRUE(take_events().empty());
    EXPECT_EQ(kv_->num_free(), 100);
  }
}

TEST_F(OverlapTest, ABlockCanBeFoundOnceItsLastTokenIsKnown) {
  make_overlapped();
  submit(7);
  plan();
  EXPECT_EQ(kv_->num_cached(), 1);
  plan();  // fills the second block with a token that is not known yet
  EXPECT_EQ(kv_->num_cached(), 1);
  commit();
  EXPECT_EQ(kv_->num_cached(), 2);
}

TEST_F(OverlapTest, PreemptionWaitsUntilNothingIsInFlight) {
  make_overlapped(64, 1 + 10, 40);
  submit(15, 25);
  submit(15, 25);
  plan();
  submit(5);
  plan();  // 4 + 4 + 2 blocks: full
  commit();
  EXPECT_TRUE(plan().empty()) << "the first needs a fifth block, and a plan in flight uses all";
  EXPECT_EQ(scheduler_->stats().num_preemptions, 0u);
  commit();
  plan();
  EXPECT_EQ(plan_->freed_rows, (Ints{2}));
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 16, 1}, {1, 16, 1}}));
  EXPECT_EQ(scheduler_->stats().num_preemptions, 1u);
  commit();
}

TEST_F(OverlapTest, WhatACommitFreesIsTakenFromNone) {
  make_overlapped(64, 1 + 10, 40);
  submit(15, 25);
  submit(15, 25);
  plan();
  submit(5, 1);
  plan();  // 4 + 4 + 2 blocks: full
  commit();
  EXPECT_TRUE(plan().empty()) << "the first needs a fifth block";
  commit();
  EXPECT_EQ(kv_->num_free(), 2) << "the third has ended";
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 16, 1}, {1, 16, 1}}));
  EXPECT_EQ(scheduler_->stats().num_preemptions, 0u);
}

TEST_F(OverlapTest, NothingGoesOnUntilChoicesAreForked) {
  make_overlapped();
  submit(3);
  plan();
  submit(10, 16, 3);
  plan();
  EXPECT_EQ(plan_->samples.size(), 1u + 3);
  EXPECT_EQ(scheduler_->stats().num_running, 4) << "two of them wait for the fork";
  commit();
  EXPECT_TRUE(plan().empty());
  commit();
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 4, 1}, {1, 10, 1}, {2, 10, 1}, {3, 10, 1}}));
  EXPECT_EQ(plan_->copies.size(), 2u);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 5, 1}, {1, 11, 1}, {2, 11, 1}, {3, 11, 1}}));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(token_of(i), kFromLastStep);
  EXPECT_TRUE(plan_->copies.empty());
}

// A state is shared where the prompt ends with a block, else copied; none is computed again.
TEST_F(OverlapTest, AForkHasTheRecurrentStateOfItsPrompt) {
  for (const auto& [num_prompt, num_copies] : {std::pair{8, 0u}, {10, 4u}}) {
    make_overlapped(64, 101, 100, {testing::full_group(4), testing::state_group(4)});
    submit(num_prompt, 16, 3);
    while (plan().samples.empty()) commit();
    EXPECT_TRUE(plan().empty());
    while (!in_flight_.empty()) commit();
    plan();
    EXPECT_EQ(work(), (std::vector<Ints>{{0, num_prompt, 1}, {1, num_prompt, 1}, {2, num_prompt, 1}}));
    EXPECT_EQ(plan_->copies.size(), num_copies);
    while (!in_flight_.empty()) commit();
  }
}

TEST_F(OverlapTest, TheTargetOfACopyInFlightStaysThoughItsChoiceHasNoWork) {
  make_overlapped(2);
  const RequestId id = submit(5, 16, 3);
  while (plan().samples.empty())
    while (in_flight_.size() > 1) commit();
  while (!in_flight_.empty()) commit();
  plan();
  EXPECT_EQ(plan_->copies.size(), 2u);
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 5, 1}, {1, 5, 1}})) << "two tokens a step";
  const int32_t num_free = kv_->num_free();
  scheduler_->cancel(id, now_, &events_);
  scheduler_->check();
  EXPECT_EQ(kv_->num_free(), num_free);
  commit();
  EXPECT_EQ(kv_->num_free(), 100);
}

TEST_F(OverlapTest, PromptsInPiecesEndWithTheirLast) {
  make_overlapped(6);
  params_.num_prompt_logprobs = 0;
  submit(10, 0);
  plan();
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 6, 4}}));
  commit();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].prompt.token.size(), 6u);
  EXPECT_EQ(events[0].finish, FinishReason::kNone) << "its second piece is in flight";
  EXPECT_TRUE(plan().empty());
  commit();
  events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].prompt.token.size(), 3u);
  EXPECT_EQ(events[0].finish, FinishReason::kLength);
}

TEST_F(OverlapTest, WhatRanBehindALostStepIsComputedAgain) {
  make_overlapped();
  submit(12, 1);
  plan();
  commit();
  take_events();
  ASSERT_EQ(kv_->num_cached(), 3);
  submit(20);
  plan();
  submit_as(3, 2, 20);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 20, 1}, {1, 16, 4}})) << "it shares what the first plan computes";
  StepResult lost = result_of(0, kNoMemory);
  lost.no_memory = true;
  commit(lost);
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(events[0].id == 2 && events[0].no_memory);
  EXPECT_TRUE(plan().empty());
  commit();
  EXPECT_TRUE(take_events().empty()) << "its token came from keys and values that are not there";
  EXPECT_EQ(kv_->num_free(), 100);
  EXPECT_EQ(kv_->num_cached(), 3) << "what the two plans had nothing to do with";
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 20}}));
  commit();
  EXPECT_EQ(take_events().size(), 1u);
}

// The second plan finds no block for the first in rank, and comes to nothing; but the last in rank has found
// in the cache what the first plan is to compute.
TEST_F(OverlapTest, WhatAPlanThatCameToNothingHasFoundIsLostWithItsStep) {
  make({.max_num_seqs = 8,
        .max_in_flight = 2,
        .max_num_batched_tokens = 64,
        .max_model_len = 60,
        .long_prefill_token_threshold = 4},
       4, 1 + 12);
  submit(2);                              // needs its second block in the fourth plan
  for (int i = 0; i < 4; ++i) submit(3);  // in the third
  plan();
  submit_as(7, submit(16), 16);
  plan();
  commit();
  plan();
  EXPECT_EQ(work().back(), (Ints{5, 8, 4}));
  EXPECT_EQ(kv_->num_free(), 0);
  commit();
  EXPECT_TRUE(plan().empty());
  take_events();
  StepResult lost = result_of(0, kNoMemory);
  lost.no_memory = true;
  commit(lost);
  EXPECT_EQ(take_events().size(), 6u);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 4}}));
}

}  // namespace
}  // namespace pagoda
