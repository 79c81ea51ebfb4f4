// Where memory ends, a request ends with one event for each of its choices, and the accounting is right.
#include <map>

#include "base/memory_reserve.h"
#include "tests/schedule/scheduler_fixture.h"
#include "tests/testing/allocations.h"

namespace pagoda {
namespace {

class OutOfMemory : public SchedulerTest {
 protected:
  void SetUp() override { make({.max_num_seqs = 8, .max_num_batched_tokens = 64, .max_model_len = 100}); }
  // Ends by request: how many choices have ended for want of memory, and how many in another way.
  struct Ends {
    int no_memory = 0, other = 0;
  };
  std::map<RequestId, Ends> ends() {
    std::map<RequestId, Ends> ends;
    for (const TokenEvent& event : events_) {
      if (event.finish == FinishReason::kNone) continue;
      EXPECT_EQ(event.no_memory, event.finish == FinishReason::kError);
      ++(event.no_memory ? ends[event.id].no_memory : ends[event.id].other);
    }
    return ends;
  }
  // With this fault for all samples of one row.
  void commit_with(int32_t row, SampleFault fault) {
    StepResult result = result_of();
    for (std::size_t i = 0; i < plan_->samples.size(); ++i)
      if (plan_->samples[i].row == row) result.bad[i] = fault;
    commit(result);
  }
};

TEST_F(OutOfMemory, TheRunnersFaultEndsTheWholeRequest) {
  const RequestId plain = submit(5), many = submit(6, 16, 3);
  step();
  plan();
  commit_with(2, kNoMemory);  // its second choice
  EXPECT_EQ(ends()[many].no_memory, 3);
  EXPECT_EQ(ends().count(plain), 0u);
  step(kEos);
  EXPECT_EQ(ends()[plain].other, 1);
  EXPECT_FALSE(scheduler_->has_work());
  EXPECT_EQ(kv_->num_free(), 100);
}

TEST_F(OutOfMemory, WhatWasNotComputedIsNotCached) {
  const RequestId first = submit(20);
  plan();
  StepResult result = result_of(0, kNoMemory);
  result.no_memory = true;
  commit(result);
  EXPECT_EQ(ends()[first].no_memory, 1);
  --last_id_;  // the same prompt
  submit(20);
  plan();
  EXPECT_EQ(work(), (std::vector<Ints>{{0, 0, 20}}));
  commit(kEos);
}

TEST_F(OutOfMemory, WhoAskedForMostIsEndedFirst) {
  const RequestId plain = submit(5);
  params_.num_logprobs = 20;
  const RequestId logprobs = submit(5);
  params_ = {};
  const RequestId many = submit(5, 16, 8);
  params_.num_prompt_logprobs = 3;
  const RequestId of_prompt = submit(30);
  for (RequestId id : {of_prompt, logprobs, many, plain}) {
    scheduler_->fail_largest(now_, &events_);
    scheduler_->check();
    EXPECT_EQ(ends()[id].no_memory, id == many ? 8 : 1) << id;
  }
  scheduler_->fail_largest(now_, &events_);
  EXPECT_EQ(take_events().size(), 11u);
}

// On a thread that has the reserve, as the engine's: only what is large can fail.
TEST_F(OutOfMemory, AnyAllocationMayFail) {
  if (!can_allocations_fail()) GTEST_SKIP();
  allocations_may_fail = true;
  int num_ended = 0;
  for (const bool fair : {false, true}) {
    for (int64_t k = 0;; ++k) {
      SchedulerConfig config{.max_num_seqs = 4, .max_num_batched_tokens = 16, .max_model_len = 100};
      config.policy = fair ? SchedulingPolicy::kFair : SchedulingPolicy::kFcfs;
      make(config);
      events_.clear();
      ASSERT_TRUE(keep_memory_reserve());
      UseOfReserve use;
      const int64_t failures = num_failures;
      allocations_until_failure = k;
      std::map<RequestId, int> entered;
      for (int i = 0; i < 3; ++i) {
        params_.num_logprobs = i - 1;
        params_.num_prompt_logprobs = i == 2 ? 1 : -1;
        const int n = 1 + 2 * (i % 2);
        tenant_ = static_cast<uint64_t>(i);
        try {
          entered[submit(9 + i, 3, n)] = n;
        } catch (const std::bad_alloc&) {
          scheduler_->check();
          EXPECT_EQ(scheduler_->find(last_id_), nullptr) << "all or nothing";
          ++num_ended;
        }
      }
      while (!plan().empty()) commit();
      allocations_until_failure = -1;
      int num_lost = 0;
      for (const auto& [id, n] : entered) {
        const Ends of_it = ends()[id];
        EXPECT_EQ(of_it.no_memory + of_it.other, n) << k;
        num_lost += of_it.no_memory > 0;
      }
      EXPECT_LE(num_lost, 1) << k;
      num_ended += num_lost;
      EXPECT_EQ(kv_->num_free(), 100);
      if (num_failures == failures) break;
    }
  }
  allocations_may_fail = false;
  EXPECT_GT(num_ended, 10);
}

// The first of three alone in the engine finds none when it is admitted: the same plan lets the next one in.
TEST_F(OutOfMemory, SiblingsOfOneThatCouldNotBegin) {
  if (!can_allocations_fail()) GTEST_SKIP();
  allocations_may_fail = true;
  int num_lost = 0;
  for (int64_t k = 0;; ++k) {
    SetUp();
    events_.clear();
    ASSERT_TRUE(keep_memory_reserve());
    UseOfReserve use;
    const RequestId id = submit(9, 3, 3);
    const int64_t failures = num_failures;
    allocations_until_failure = k;
    EXPECT_FALSE(plan().empty());
    allocations_until_failure = -1;
    do commit();
    while (!plan().empty());
    const Ends of_it = ends()[id];
    EXPECT_EQ(of_it.no_memory + of_it.other, 3) << k;
    num_lost += of_it.no_memory;
    EXPECT_EQ(kv_->num_free(), 100);
    if (num_failures == failures) break;
  }
  allocations_may_fail = false;
  EXPECT_GT(num_lost, 0);
}

}  // namespace
}  // namespace pagoda
