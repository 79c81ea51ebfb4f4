// What single plans and commits look like; that all of them together are right is tests/sim's matter.
#include <set>
#include <string>
#include <vector>

#include "tests/schedule/scheduler_fixture.h"
#include "tests/testing/failing_new.h"

namespace pagoda {
namespace {

TEST_F(SchedulerTest, PrefillIsChunkedByTheBudgetAndRunningComesFirst) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 10, .max_model_len = 100});
  submit(4);
  submit(13);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 4}, {1, 0, 6}}));
  ASSERT_EQ(plan_->samples.size(), 1u) << "the second has not caught up";
  EXPECT_EQ(plan_->samples[0].row, 0);
  EXPECT_EQ(plan_->samples[0].flat_index, 3);
  EXPECT_EQ(plan_->new_rows.size(), 2u);
  EXPECT_EQ(plan_->new_rows[1].num_tokens, 13) << "a row knows all of its tokens at once";
  commit();
  submit(3);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 4, 1}, {1, 6, 6}, {2, 0, 3}}));
  EXPECT_EQ(plan_->num_tokens, 10);
  EXPECT_EQ(plan_->tokens[static_cast<std::size_t>(plan_->work[0].token_begin)], 50)
      << "the token just sampled";
  ASSERT_EQ(plan_->samples.size(), 2u);
  EXPECT_EQ(plan_->samples[0].output_index, 1);
  EXPECT_EQ(plan_->samples[1].flat_index, 9) << "the short one goes with the long one, not behind it";
  commit();
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 5, 1}, {1, 12, 1}, {2, 3, 1}}));
  EXPECT_TRUE(plan_->new_rows.empty());
}

TEST_F(SchedulerTest, LongPromptsTakeNoMoreThanTheirThreshold) {
  make({.max_num_seqs = 4,
        .max_num_batched_tokens = 20,
        .max_model_len = 100,
        .long_prefill_token_threshold = 6});
  submit(30);
  submit(7);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 6}, {1, 0, 6}}));
}

TEST_F(SchedulerTest, RowsBoundTheBatch) {
  make({.max_num_seqs = 2, .max_num_batched_tokens = 50, .max_model_len = 100});
  for (int i = 0; i < 5; ++i) submit(3);
  EXPECT_EQ(plan().work.size(), 2u);
  EXPECT_EQ(scheduler_->stats().num_running, 2);
  EXPECT_EQ(scheduler_->stats().num_waiting, 3);
  commit(kEos);
  plan();
  EXPECT_EQ(plan_->freed_rows.size(), 2u);
  EXPECT_EQ(plan_->new_rows.size(), 2u);
}

TEST_F(SchedulerTest, YoungestIsPreemptedAndComesBackFirst) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 50, .max_model_len = 40}, 4, 1 + 10);
  submit(15, 25);  // 4 blocks each
  submit(15, 25);
  step();
  submit(5);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 15, 1}, {1, 15, 1}, {2, 0, 5}}));  // 4 + 4 + 2 blocks: full
  commit();
  plan();  // the first needs a fifth block: the last goes; the second takes the other of its two blocks
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 16, 1}, {1, 16, 1}}));
  EXPECT_EQ(plan_->freed_rows, (Ints{2}));
  EXPECT_TRUE(plan_->new_rows.empty()) << "no sequence is admitted in a step that preempted";
  EXPECT_EQ(scheduler_->stats().num_preemptions, 1u);
  EXPECT_EQ(scheduler_->stats().num_waiting, 1);
  commit();
  submit(2);
  plan();
  EXPECT_EQ(plan_->work.size(), 2u) << "the one at the head does not fit, and none bypasses it";
  commit(kEos);
  EXPECT_EQ(kv_->num_free(), 10);
  plan();
  ASSERT_EQ(plan_->new_rows.size(), 2u);
  EXPECT_EQ(plan_->new_rows[0].id, 3u);
  EXPECT_EQ(plan_->new_rows[0].num_tokens, 6) << "the prompt and the token that it had";
  EXPECT_EQ(plan_->new_rows[0].num_prompt_tokens, 5);
  EXPECT_EQ(work()[0], (Ints{0, 0, 6}));
  EXPECT_EQ(plan_->samples[0].output_index, 1);
  commit();
  EXPECT_EQ(scheduler_->last_step().num_recomputed_tokens, 5);
}

TEST_F(SchedulerTest, ChoicesSampleFromOneLogitsRowThenFork) {
  make({.max_num_seqs = 8, .max_num_batched_tokens = 6, .max_model_len = 100});
  params_.seed = 40;
  submit(10, 16, 3);
  EXPECT_EQ(scheduler_->stats().num_waiting, 3);
  step();
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 6, 4}}));
  ASSERT_EQ(plan_->new_rows.size(), 2u);
  ASSERT_EQ(plan_->samples.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(plan_->samples[static_cast<std::size_t>(i)].row, i);
    EXPECT_EQ(plan_->samples[static_cast<std::size_t>(i)].flat_index, 3);
    EXPECT_EQ(plan_->samples[static_cast<std::size_t>(i)].output_index, 0);
  }
  for (const NewRow& row : plan_->new_rows) {
    EXPECT_EQ(row.num_tokens, 10);
    EXPECT_EQ(plan_->tokens[static_cast<std::size_t>(row.token_begin + 9)], 1009);
    EXPECT_EQ(plan_->params[static_cast<std::size_t>(row.params_index)].seed,
              40u + static_cast<uint64_t>(row.choice));
  }
  commit();
  EXPECT_EQ(100 - kv_->num_free(), 3 + 2) << "two full blocks are shared, the partial one is not";
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 10, 1}, {1, 10, 1}, {2, 10, 1}}));
  ASSERT_EQ(plan_->copies.size(), 2u);
  EXPECT_EQ(plan_->copies[0].src, plan_->copies[1].src);
  EXPECT_NE(plan_->copies[0].dst, plan_->copies[1].dst);
  ASSERT_EQ(plan_->new_blocks.size(), 2u);
  EXPECT_EQ(plan_->new_blocks[0].count, 3) << "a fork's whole table is announced";
  commit();
  EXPECT_EQ(scheduler_->last_step().inter_token_s.size(), 3u);
}

TEST_F(SchedulerTest, ChoicesWithoutARowRunOnTheirOwn) {
  make({.max_num_seqs = 2, .max_num_batched_tokens = 20, .max_model_len = 100});
  submit(8, 1, 4);
  plan();
  EXPECT_EQ(plan_->samples.size(), 2u);
  commit();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].choice, 1);
  EXPECT_EQ(events[1].finish, FinishReason::kLength) << "a choice may end with its first token";
  EXPECT_EQ(kv_->num_free(), 100);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 4, 4}, {1, 4, 4}}));
  EXPECT_EQ(plan_->new_rows[0].choice, 2);
  EXPECT_EQ(plan_->new_rows[1].choice, 3);
  commit();
  EXPECT_EQ(take_events().size(), 2u);
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_EQ(scheduler_->find(1), nullptr);
}

TEST_F(SchedulerTest, ForkWithoutBlocksRecomputesLater) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 40, .max_model_len = 20}, 4, 1 + 5);
  submit(17, 3, 2);  // five blocks: none left for the copy
  step();
  EXPECT_EQ(scheduler_->stats().num_running, 1);
  EXPECT_EQ(scheduler_->stats().num_waiting, 1);
  plan();
  EXPECT_EQ(plan_->freed_rows, (Ints{1}));
  EXPECT_TRUE(plan_->copies.empty());
  commit();
  step();  // choice 0 ends
  plan();
  ASSERT_EQ(plan_->new_rows.size(), 1u);
  EXPECT_EQ(plan_->new_rows[0].choice, 1);
  EXPECT_EQ(plan_->new_rows[0].num_tokens, 18);
  EXPECT_EQ(plan_->samples[0].output_index, 1);
}

TEST_F(SchedulerTest, PromptLogprobsComeInPiecesWithTheirPositions) {
  make({.max_num_seqs = 2, .max_num_batched_tokens = 4, .max_model_len = 100});
  params_.num_prompt_logprobs = 0;
  submit(6, 1);
  plan();
  ASSERT_EQ(plan_->samples.size(), 4u);
  EXPECT_EQ(plan_->samples[3].target, 1004);
  EXPECT_EQ(plan_->samples[3].flat_index, 3);
  commit();
  plan();
  ASSERT_EQ(plan_->samples.size(), 2u)
      << "position 4 predicts token 5; position 5 predicts the first new one";
  EXPECT_EQ(plan_->samples[0].kind, SampleKind::kPromptLogprobs);
  EXPECT_EQ(plan_->samples[0].target, 1005);
  EXPECT_EQ(plan_->samples[1].kind, SampleKind::kSample);
  commit();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(events[0].prompt.token, ::testing::ElementsAre(1001, 1002, 1003, 1004));
  EXPECT_TRUE(events[0].out.token.empty());
  EXPECT_THAT(events[1].prompt.token, ::testing::ElementsAre(1005));
  EXPECT_THAT(events[1].out.token, ::testing::ElementsAre(50));
  EXPECT_TRUE(events[1].out.logprob.empty()) << "the output's were not asked for";
  EXPECT_EQ(events[1].finish, FinishReason::kLength);
}

TEST_F(SchedulerTest, PromptAloneIsScoredAndEnds) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 40, .max_model_len = 8});
  params_.num_prompt_logprobs = 1;
  submit(8, 0, 2);  // max_model_len exactly: nothing follows
  params_.num_prompt_logprobs = -1;
  submit(3, 0);
  plan();
  EXPECT_EQ(plan_->samples.size(), 7u);
  commit();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 3u);
  std::set<std::pair<RequestId, int32_t>> ended;
  for (const TokenEvent& event : events) {
    EXPECT_EQ(event.finish, FinishReason::kLength);
    EXPECT_EQ(event.counts.num_output, 0);
    ended.emplace(event.id, event.choice);
  }
  EXPECT_EQ(ended.size(), 3u);
  EXPECT_EQ(events[0].prompt.token.size(), 7u);
  EXPECT_EQ(scheduler_->last_step().num_prompt_tokens, 11);
  EXPECT_FALSE(scheduler_->has_work());
}

TEST_F(SchedulerTest, WhatCanNeverRunEndsWithAnErrorAndTheOthersGoOn) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 40, .max_model_len = 100}, 4, 1 + 5);
  EXPECT_EQ(scheduler_->max_sequence_len(), 20) << "what the cache holds";
  submit(20, 5, 2);
  submit(19, 5);
  plan();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].finish, FinishReason::kError);
  EXPECT_NE(events[0].error.find("20"), std::string::npos);
  EXPECT_EQ(plan_->work.size(), 1u);
  commit();
  EXPECT_EQ(take_events()[0].finish, FinishReason::kLength) << "19 + 1 tokens are all that fit";
}

TEST_F(SchedulerTest, HeldRequestsWaitAsideAndKeepTheirPlace) {
  make({.max_num_seqs = 1, .max_num_batched_tokens = 40, .max_model_len = 100});
  RequestId held = submit(3, 16, 2, kHoldLora | kHoldGrammar);
  EXPECT_TRUE(plan().empty());
  EXPECT_EQ(scheduler_->stats().num_deferred, 2);
  EXPECT_EQ(scheduler_->stats().num_waiting, 0);
  RequestId second = submit(3);
  submit(3);
  plan();
  ASSERT_EQ(plan_->new_rows.size(), 1u);
  EXPECT_EQ(plan_->new_rows[0].id, second);
  commit(kEos);
  scheduler_->release_hold(held, kHoldLora);
  scheduler_->release_hold(held, kHoldKvLoad);
  EXPECT_EQ(scheduler_->stats().num_deferred, 2) << "one hold is left";
  scheduler_->release_hold(held, kHoldGrammar);
  plan();
  ASSERT_EQ(plan_->new_rows.size(), 1u);
  EXPECT_EQ(plan_->new_rows[0].id, held) << "it came before the third";
}

TEST_F(SchedulerTest, DeadlinesEndTheWaitingTheHeldAndTheRunning) {
  make({.max_num_seqs = 1, .max_num_batched_tokens = 40, .max_model_len = 100});
  deadline_ = now_ + std::chrono::milliseconds(2500);
  submit(3);
  submit(3, 16, 2);
  submit(3, 16, 1, kHoldLora);
  deadline_ = Time::max();
  submit(3);
  EXPECT_EQ(scheduler_->next_deadline(), Time(std::chrono::milliseconds(102500)));
  step();
  step();
  take_events();
  plan();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 4u);
  for (const TokenEvent& event : events) EXPECT_EQ(event.finish, FinishReason::kTimeout);
  ASSERT_EQ(plan_->new_rows.size(), 1u);
  EXPECT_EQ(plan_->new_rows[0].id, 4u);
  EXPECT_EQ(scheduler_->next_deadline(), Time::max());
}

TEST_F(SchedulerTest, CancelInFlightDropsWhatTheStepComputes) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 40, .max_model_len = 100});
  RequestId first = submit(6, 16, 3);
  submit(4);
  plan();
  scheduler_->cancel(first, now_, &events_);
  EXPECT_EQ(take_events().size(), 3u);
  commit();
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].id, 2u);
  plan();
  EXPECT_EQ(plan_->freed_rows.size(), 3u);
  EXPECT_TRUE(plan_->copies.empty());
  EXPECT_EQ(plan_->work.size(), 1u);
}

TEST_F(SchedulerTest, OneChoiceCanBeFinishedFromAbove) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 40, .max_model_len = 100});
  RequestId id = submit(6, 16, 2);
  scheduler_->finish(id, 0, now_, &events_);
  EXPECT_TRUE(events_.empty()) << "it has no output yet";
  step();
  take_events();
  scheduler_->finish(id, 0, now_, &events_);  // its partial block is still to be copied for choice 1
  scheduler_->finish(id, 0, now_, &events_);
  scheduler_->finish(id, 2, now_, &events_);
  scheduler_->finish(id + 1, 0, now_, &events_);
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kStop);
  EXPECT_EQ(events[0].counts.num_output, 1);
  plan();
  EXPECT_EQ(plan_->freed_rows, (Ints{0}));
  EXPECT_EQ(work(), (std::vector<Ints>{{1, 6, 1}}));
  EXPECT_EQ(plan_->copies.size(), 1u);
}

TEST_F(SchedulerTest, FinishedStatsTellTheTimes) {
  make({.max_num_seqs = 1, .max_num_batched_tokens = 4, .max_model_len = 100});
  submit(6, 3);
  submit(2, 1, 2);
  for (int i = 0; i < 6; ++i) step();
  EXPECT_FALSE(scheduler_->has_work());
  std::vector<FinishedStats> finished;
  scheduler_->take_finished(&finished);
  ASSERT_EQ(finished.size(), 3u);
  auto at = [](int s) { return Time(std::chrono::seconds(100 + s)); };
  EXPECT_EQ(finished[0].timings.arrival, at(0));
  EXPECT_EQ(finished[0].timings.scheduled, at(1));
  EXPECT_EQ(finished[0].timings.first_token, at(2));
  EXPECT_EQ(finished[0].timings.last_token, at(4));
  EXPECT_EQ(finished[0].timings.finished, at(4));
  EXPECT_EQ(finished[0].counts.num_output, 3);
  EXPECT_TRUE(finished[0].last_of_request);
  EXPECT_EQ(finished[1].timings.scheduled, at(5));
  EXPECT_FALSE(finished[1].last_of_request);
  EXPECT_TRUE(finished[2].last_of_request);
  EXPECT_EQ(finished[2].max_num_output, 1);
  scheduler_->take_finished(&finished);
  EXPECT_EQ(finished.size(), 3u) << "each is handed out once";
}

TEST_F(SchedulerTest, DecodingAllocatesNothing) {
  for (const int depth : {1, 2}) {
    make({.max_num_seqs = 8, .max_in_flight = depth, .max_num_batched_tokens = 64, .max_model_len = 200}, 64);
    for (int i = 0; i < 8; ++i) submit(5, 150);
    for (int i = 1; i < depth; ++i) plan();
    for (int i = 0; i < 20; ++i) step();
    for (int i = 0; i < 20; ++i) {
      take_events();
      events_.reserve(8);
      int64_t before = num_allocations;
      const StepPlan& next = scheduler_->plan(now_, &events_);
      EXPECT_EQ(num_allocations, before) << "plan";
      in_flight_.push_back(&next);
      const StepResult result = result_of();
      before = num_allocations;
      scheduler_->commit(*in_flight_.front(), result, now_, &events_);
      EXPECT_EQ(num_allocations, before) << "commit";
      in_flight_.pop_front();
    }
  }
}

TEST_F(SchedulerTest, WhereTheFiltersLeaveNothingTheChoiceIsComplete) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 32, .max_model_len = 100});
  RequestId id = submit(5, 16, 2);
  plan();
  commit(50, kNothingAllowed);  // before any token
  for (const TokenEvent& event : take_events()) {
    EXPECT_EQ(event.id, id);
    EXPECT_EQ(event.finish, FinishReason::kStop);
    EXPECT_TRUE(event.out.token.empty());
    EXPECT_EQ(event.error, "");
  }
  EXPECT_FALSE(scheduler_->has_work());
  submit(5, 16);
  step();
  take_events();
  plan();
  commit(50, kNothingAllowed);
  std::vector<TokenEvent> events = take_events();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].finish, FinishReason::kStop);
  EXPECT_EQ(events[0].counts.num_output, 1);
  EXPECT_EQ(scheduler_->last_step().num_bad, 0);
  EXPECT_EQ(kv_->usage(), 0);

  submit(5, 16);
  plan();
  commit(50, kLogitsNotFinite);
  EXPECT_EQ(take_events()[0].finish, FinishReason::kError);
}

TEST_F(SchedulerTest, WhoIsOwedItsShareGoesAheadOfThoseWhoWait) {
  make({.max_num_seqs = 1, .max_num_batched_tokens = 32, .max_model_len = 100});
  const RequestId runs = submit(4, 2), waits = submit(4, 1);
  plan();
  commit();
  goes_ahead_ = true;
  const RequestId owed = submit(4, 1);
  std::vector<RequestId> order;
  while (scheduler_->has_work()) {
    step();
    for (const TokenEvent& event : take_events())
      if (event.finish != FinishReason::kNone) order.push_back(event.id);
  }
  EXPECT_EQ(order, (std::vector<RequestId>{runs, owed, waits}));
}

TEST_F(SchedulerTest, ThresholdOfLongPromptsGrowsWhileFewAreThere) {
  for (bool adaptive : {false, true}) {
    const SchedulerConfig config = {.max_num_seqs = 4,
                                    .max_num_batched_tokens = 64,
                                    .max_model_len = 100,
                                    .long_prefill_token_threshold = 8,
                                    .long_prefill_token_threshold_adaptive = adaptive};
    make(config);
    submit(60);
    EXPECT_EQ(plan().num_tokens, adaptive ? 60 : 8);
    make(config);
    for (int i = 0; i < 4; ++i) submit(60);
    plan();
    for (const Ints& piece : work()) EXPECT_LE(piece[2], adaptive ? 16 : 8);
    EXPECT_EQ(plan_->num_tokens, adaptive ? 64 : 32);
  }
}

}  // namespace
}  // namespace pagoda
