// A scheduler driven plan by plan, with made-up results.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "schedule/scheduler.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/scheduler_config.h"

namespace pagoda {

using Ints = std::vector<int32_t>;
inline constexpr TokenId kEos = 99;

class SchedulerTest : public ::testing::Test {
 protected:
  void make(const SchedulerConfig& config, int block_size = 4, int num_blocks = 101) {
    make(config, {testing::full_group(block_size)}, num_blocks);
  }
  void make(const SchedulerConfig& config, const std::vector<KvGroupSpec>& groups, int num_blocks) {
    make_as_is(testing::countable(config), groups, num_blocks);
  }
  void make_as_is(const SchedulerConfig& config, const std::vector<KvGroupSpec>& groups, int num_blocks) {
    in_flight_.clear();
    kv_ = std::make_unique<KvManager>(groups, num_blocks);
    scheduler_ = std::make_unique<Scheduler>(config, kv_.get());
  }
  RequestId submit(int num_prompt, int max_tokens = 16, int n = 1, uint8_t holds = kHoldNone) {
    auto request = std::make_unique<Request>();
    request->id = ++last_id_;
    std::vector<TokenId> prompt(static_cast<std::size_t>(num_prompt));
    std::iota(prompt.begin(), prompt.end(), 1000 * static_cast<int>(request->id));
    request->prompt = std::move(prompt);
    request->params = params_;
    request->params.max_tokens = max_tokens;
    request->params.eos_token_ids = {kEos};
    request->n = n;
    request->holds = holds;
    request->arrival = now_;
    request->deadline = deadline_;
    request->priority = priority_;
    request->tenant_key = tenant_;
    request->goes_ahead = goes_ahead_;
    scheduler_->submit(std::move(request), now_, &events_);
    return last_id_;
  }
  const StepPlan& plan() {
    now_ += std::chrono::seconds(1);
    plan_ = &scheduler_->plan(now_, &events_);
    if (!plan_->empty()) in_flight_.push_back(plan_);
    scheduler_->check();
    return *plan_;
  }
  // Of the oldest plan in flight: every sample draws `token`, or has this fault.
  StepResult result_of(TokenId token = 50, SampleFault fault = kNoFault) const {
    const StepPlan& plan = *in_flight_.front();
    StepResult result;
    result.step_id = plan.step_id;
    std::size_t count = plan.samples.size();
    result.token.assign(count, token);
    for (std::size_t i = 0; i < count; ++i) {
      if (plan.samples[i].kind == SampleKind::kPromptLogprobs) result.token[i] = plan.samples[i].target;
    }
    result.logprob.assign(count, -1.5f);
    result.rank.assign(count, 3);
    result.bad.assign(count, fault);
    result.top_begin.assign(count + 1, 0);
    result.num_accepted.assign(plan.work.size(), 0);
    return result;
  }
  void commit(const StepResult& result) {
    scheduler_->commit(*in_flight_.front(), result, now_, &events_);
    in_flight_.pop_front();
    scheduler_->check();
  }
  void commit(TokenId token = 50, SampleFault fault = kNoFault) { commit(result_of(token, fault)); }
  void step(TokenId token = 50) {
    plan();
    ASSERT_FALSE(plan_->empty());
    commit(token);
  }
  // (row, computed, scheduled) of each piece of work.
  std::vector<Ints> work() const {
    std::vector<Ints> out;
    for (const RowWork& w : plan_->work)
      out.push_back({w.row, w.num_computed_tokens, w.num_scheduled_tokens});
    return out;
  }
  std::vector<TokenEvent> take_events() { return std::exchange(events_, {}); }

  SamplingParams params_;
  Time now_{std::chrono::seconds(100)}, deadline_ = Time::max();
  int64_t priority_ = 0;
  uint64_t tenant_ = 0;
  bool goes_ahead_ = false;
  RequestId last_id_ = 0;
  std::unique_ptr<KvManager> kv_;
  std::unique_ptr<Scheduler> scheduler_;
  const StepPlan* plan_ = nullptr;  // the last
  std::deque<const StepPlan*> in_flight_;
  std::vector<TokenEvent> events_;
};

}  // namespace pagoda
