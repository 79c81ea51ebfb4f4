// Who goes first, who gives way, who may pass whom.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "tests/schedule/scheduler_fixture.h"

namespace pagoda {
namespace {

class PolicyTest : public SchedulerTest {
 protected:
  // Ids of the requests that the current plan brings in.
  std::vector<RequestId> admitted() const {
    std::vector<RequestId> out;
    for (const NewRow& row : plan_->new_rows) out.push_back(row.id);
    return out;
  }
  std::vector<RequestId> ended() {
    std::vector<RequestId> out;
    for (const TokenEvent& event : take_events())
      if (event.finish != FinishReason::kNone) out.push_back(event.id);
    return out;
  }
};

TEST_F(PolicyTest, WhatDoesNotFitIsPassedButNotForEver) {
  make({.max_num_seqs = 8, .max_num_batched_tokens = 64, .max_model_len = 80, .max_overtakes = 3}, 4, 1 + 20);
  submit(40, 30);  // 10 blocks now, more later: it stays for long
  step();
  const RequestId huge = submit(60, 1);  // 15 blocks: it does not fit beside the first
  std::vector<RequestId> small;
  for (int i = 0; i < 6; ++i) small.push_back(submit(3, 2));
  step();
  EXPECT_EQ(admitted(), (std::vector<RequestId>{small[0], small[1], small[2]})) << "three may pass";
  std::set<RequestId> came;
  for (int i = 0; i < 60 && !came.contains(huge); ++i) {
    step();
    for (RequestId id : admitted()) came.insert(id);
    EXPECT_TRUE(came.empty() || came.contains(huge)) << "a fourth has passed";
  }
  EXPECT_TRUE(came.contains(huge));
}

TEST_F(PolicyTest, WithoutOvertakingNobodyPasses) {
  make({.max_num_seqs = 8, .max_num_batched_tokens = 64, .max_model_len = 80, .max_overtakes = 0}, 4, 1 + 20);
  submit(40, 8);
  step();
  submit(60, 1);
  submit(3, 1);
  step();
  EXPECT_TRUE(admitted().empty());
}

TEST_F(PolicyTest, PriorityGoesFirstAndTheLeastImportantGivesWay) {
  make({.max_num_seqs = 3,
        .max_num_batched_tokens = 64,
        .max_model_len = 80,
        .policy = SchedulingPolicy::kPriority},
       4, 1 + 12);
  priority_ = 5;
  const RequestId low = submit(15, 30);
  priority_ = 1;
  submit(15, 30);
  priority_ = 0;
  const RequestId first = submit(15, 30);
  step();
  EXPECT_EQ(admitted().front(), first) << "not in the order of arrival";
  EXPECT_EQ(admitted().size(), 3u);
  EXPECT_EQ(plan_->work[0].row, 0);
  step();  // every row now needs another block, and none is free
  step();
  EXPECT_EQ(scheduler_->stats().num_preemptions, 1u);
  ASSERT_EQ(plan_->freed_rows.size(), 1u);
  priority_ = 5;
  submit(3, 1);
  std::vector<RequestId> order;
  for (int i = 0; i < 200 && scheduler_->has_work(); ++i) {
    step();
    for (RequestId id : ended()) order.push_back(id);
  }
  ASSERT_EQ(order.size(), 4u);
  EXPECT_LT(std::find(order.begin(), order.end(), first), std::find(order.begin(), order.end(), low));
  EXPECT_EQ(order.back(), low);
  std::vector<FinishedStats> finished;
  scheduler_->take_finished(&finished);
  uint64_t num_preemptions = 0;
  for (const FinishedStats& stats : finished) {
    num_preemptions += static_cast<uint64_t>(stats.num_preemptions);
    if (stats.id == first) {
      EXPECT_EQ(stats.num_preemptions, 0);
    }
  }
  EXPECT_EQ(num_preemptions, scheduler_->stats().num_preemptions);
}

TEST_F(PolicyTest, FairSharesAmongClientsNotRequests) {
  make({.max_num_seqs = 2,
        .max_num_batched_tokens = 64,
        .max_model_len = 80,
        .policy = SchedulingPolicy::kFair});
  tenant_ = 1;
  for (int i = 0; i < 20; ++i) submit(8, 4);
  step();
  tenant_ = 2;
  const RequestId lonely = submit(8, 4);
  int num_before = 0;
  for (bool came = false; !came;) {
    step();
    for (RequestId id : admitted()) {
      came |= id == lonely;
      num_before += id != lonely;
    }
    ASSERT_LT(num_before, 3) << "a single request waits behind a crowd";
  }
}

TEST_F(PolicyTest, FairCountsTokensByWeight) {
  make({.max_num_seqs = 1,
        .max_num_batched_tokens = 64,
        .max_model_len = 80,
        .policy = SchedulingPolicy::kFair});
  // Client 1 sends prompts of 40 tokens, client 2 of 10: two of them for each of the first's, and a little,
  // since what is generated counts too (40 + 2 against 10 + 2).
  for (int i = 0; i < 12; ++i) {
    tenant_ = 1;
    submit(40, 1);
    for (int k = 0; k < 4; ++k) {
      tenant_ = 2;
      submit(10, 1);
    }
  }
  std::map<int, int> count;
  for (int i = 0; i < 30; ++i) {
    step();
    for (const NewRow& row : plan_->new_rows) ++count[row.num_prompt_tokens];
  }
  EXPECT_NEAR(static_cast<double>(count[10]) / count[40], 42. / 12, 0.7);
}

// Tenant 1 has given a seat to tenant 2 and may not have it back for a while. Tenant 2, which was served
// more, does not get the seat a second time before tenant 1 has been served as much; a third, which was
// served less, does.
TEST_F(PolicyTest, FairLetsNoneInPastOneThatIsHeldBackForLess) {
  make({.max_num_seqs = 3,
        .max_num_batched_tokens = 256,
        .max_model_len = 200,
        .policy = SchedulingPolicy::kFair},
       4, 301);
  tenant_ = 1;
  for (int i = 0; i < 6; ++i) submit(10, 180);
  step();
  tenant_ = 2;
  const RequestId large = submit(90, 1), second = submit(10, 1);
  for (int i = 0; i < 2 && admitted() != std::vector{large}; ++i) step();
  ASSERT_EQ(admitted(), std::vector{large});
  EXPECT_EQ(scheduler_->stats().num_preemptions, 1u);
  EXPECT_EQ(ended(), std::vector{large});
  step();
  EXPECT_EQ(work().size(), 2u) << "its seat stays free";
  tenant_ = 3;
  const RequestId fresh = submit(10, 1);
  std::vector<RequestId> came;
  int num_steps = 0;
  for (; came.size() < 2 && num_steps < 100; ++num_steps) {
    step();
    for (RequestId id : admitted()) came.push_back(id);
  }
  ASSERT_EQ(came.size(), 2u);
  EXPECT_EQ(came[0], fresh);
  EXPECT_EQ(came[1], second);
  EXPECT_NEAR(num_steps, (128 - 50) / 4, 2)
      << "each of its two running ones is given a token a step, at a cost of two";
  EXPECT_EQ(scheduler_->stats().num_preemptions, 1u);
}

TEST_F(PolicyTest, AShortPromptGoesWithALongOne) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 16, .max_model_len = 400});
  submit(200);
  step();
  EXPECT_EQ(plan_->num_tokens, 16);
  submit(24);
  int steps = 0;
  do {
    step();
    ASSERT_LT(++steps, 6) << "the short prompt waits for the long one";
  } while (plan_->samples.empty());
  EXPECT_GE(plan_->work[0].num_scheduled_tokens, 8) << "the long one goes on";
}

TEST_F(PolicyTest, APromptInOnePieceWaitsForAStepThatHoldsIt) {
  make({.max_num_seqs = 4,
        .max_num_batched_tokens = 50,
        .max_model_len = 50,
        .enable_chunked_prefill = false});
  submit(30);
  submit(25);
  submit(10);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 30}, {1, 0, 10}}));
  commit();
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 30, 1}, {2, 0, 25}, {1, 10, 1}}));
}

TEST_F(PolicyTest, TheWatermarkStaysFreeWhileAnyoneRuns) {
  SchedulerConfig config =
      testing::countable({.max_num_seqs = 4, .max_num_batched_tokens = 64, .max_model_len = 60});
  config.watermark = 0.5;
  make_as_is(config, {testing::full_group(4)}, 1 + 19);
  submit(40, 2);  // ten of nineteen blocks: none runs, so it is admitted
  step();
  EXPECT_EQ(admitted().size(), 1u);
  submit(3, 2);  // one more block would do
  step();
  EXPECT_TRUE(admitted().empty());
  step();
  EXPECT_EQ(admitted().size(), 1u);
}

TEST_F(PolicyTest, HopelessRequestsAreRefusedAtOnce) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 64, .max_model_len = 60}, 4, 1 + 6);
  submit(24, 1, 2);
  ASSERT_EQ(events_.size(), 2u);
  EXPECT_EQ(events_[0].finish, FinishReason::kError);
  EXPECT_THAT(events_[0].error, ::testing::HasSubstr("24 at most"));
  EXPECT_FALSE(scheduler_->has_work());
}

TEST_F(PolicyTest, ClosedAdmissionLetsTheRunningGoOn) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 64, .max_model_len = 60});
  const RequestId runs = submit(5, 3);
  step();
  scheduler_->set_admission(false);
  const RequestId waits = submit(5, 3);
  step();
  step();
  EXPECT_EQ(ended(), std::vector<RequestId>{runs});
  EXPECT_TRUE(plan().empty());
  scheduler_->set_admission(true);
  step();
  EXPECT_EQ(admitted(), std::vector<RequestId>{waits});
}

TEST_F(PolicyTest, AllCanBeSentBackAndGoOnWhereTheyWere) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 64, .max_model_len = 60});
  submit(9, 20);
  submit(7, 20);
  for (int i = 0; i < 5; ++i) step();
  scheduler_->preempt_all();
  scheduler_->check();
  EXPECT_EQ(scheduler_->stats().num_running, 0);
  EXPECT_EQ(kv_->num_free(), kv_->num_blocks() - 1);
  kv_->reset_prefix_cache();
  step();
  EXPECT_EQ(plan_->new_rows.size(), 2u);
  EXPECT_EQ(plan_->num_tokens, 9 + 5 + 7 + 5);
}

TEST_F(PolicyTest, TheSecondTurnFindsPromptAndAnswerOfTheFirst) {
  make({.max_num_seqs = 4, .max_num_batched_tokens = 64, .max_model_len = 100});
  submit(10, 11);
  for (int i = 0; i < 11; ++i) step();
  take_events();
  auto next = std::make_unique<Request>();
  next->id = 77;
  std::vector<TokenId> turns(25, 50);
  std::iota(turns.begin(), turns.begin() + 10, 1000);
  next->prompt = std::move(turns);
  next->params.max_tokens = 1;
  scheduler_->submit(std::move(next), now_, &events_);
  step();
  EXPECT_EQ(plan_->work[0].num_computed_tokens, 20) << "the last token of the first turn was never computed";
  ASSERT_FALSE(events_.empty());
  EXPECT_EQ(events_.back().counts.num_cached, 20);
}

TEST_F(PolicyTest, ChunksFollowTheLearnedStepTime) {
  SchedulerConfig config =
      testing::countable({.max_num_seqs = 16, .max_num_batched_tokens = 256, .max_model_len = 4000});
  config.adaptive_chunks = true;
  for (auto [slo, depth] : {std::pair(0., 1), {60., 1}, {0., 2}, {60., 2}}) {
    config.itl_slo_ms = slo;
    config.max_in_flight = depth;
    make_as_is(config, {testing::full_group(16)}, 4000);
    for (int i = 0; i < 8; ++i) submit(20, 2000);
    int64_t most_beside_decodes = 0;
    for (int i = 0; i < 400; ++i) {
      if (i == 40) submit(3000, 1);
      in_flight_.push_back(&scheduler_->plan(now_, &events_));
      if (static_cast<int>(in_flight_.size()) < depth) continue;
      // 20 ms, and one for every token beyond eight; the next step begins with its end.
      const StepPlan& running = *in_flight_.front();
      const double ms = 20 + std::max(running.num_tokens - 8, 0);
      if (i > 100) most_beside_decodes = std::max<int64_t>(most_beside_decodes, running.num_tokens - 8);
      now_ += std::chrono::microseconds(static_cast<int64_t>(1000 * ms));
      commit();
      events_.clear();
    }
    if (slo > 0) {
      EXPECT_LE(most_beside_decodes, 40);
      EXPECT_GE(most_beside_decodes, 24);
    } else {
      EXPECT_LE(most_beside_decodes, 20) << "decoding is slowed down to half its speed";
      EXPECT_GE(most_beside_decodes, 12);
    }
  }
}

}  // namespace
}  // namespace pagoda
