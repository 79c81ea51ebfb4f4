// Directed worlds for what random ones hardly meet: long histories between tenants.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "kv/kv_manager.h"
#include "schedule/scheduler.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/scheduler_config.h"

namespace pagoda {
namespace {

constexpr uint64_t kSteady = 0, kHeavy = 1, kNew = 2;

class FairnessHarness {
 public:
  FairnessHarness() : kv_({testing::full_group(16)}, 400, {.enabled = false}), scheduler_(config(), &kv_) {}
  // Each tenant's queue is kept at this many.
  std::array<int, 3> wanted{};
  std::array<int64_t, 3> served{};  // tokens by cost

  void run(int num_steps) {
    for (int i = 0; i < num_steps; ++i) {
      for (uint64_t tenant = 0; tenant < 3; ++tenant)
        while (alive_[tenant] < wanted[tenant]) submit(tenant);
      now_ += std::chrono::milliseconds(1);
      StepPlan& plan = scheduler_.plan(now_, &events_);
      if (plan.empty()) return;
      StepResult result;
      result.step_id = plan.step_id;
      result.token.assign(plan.samples.size(), 1);
      result.logprob.assign(plan.samples.size(), 0);
      result.rank.assign(plan.samples.size(), 0);
      result.bad.assign(plan.samples.size(), 0);
      scheduler_.commit(plan, result, now_, &events_);
      for (const TokenEvent& event : events_) {
        const uint64_t tenant = event.id % 3;
        served[tenant] += 2 * static_cast<int64_t>(event.out.token.size());
        if (event.counts.num_output == 1) served[tenant] += event.counts.num_prompt;
        alive_[tenant] -=
            tenant == kSteady ? event.counts.num_output == 47 : event.finish != FinishReason::kNone;
      }
      events_.clear();
    }
  }

 private:
  static SchedulerConfig config() {
    return testing::countable({.max_num_seqs = 3,
                               .max_num_batched_tokens = 512,
                               .max_model_len = 2048,
                               .policy = SchedulingPolicy::kFair});
  }
  // The steady one wants little at a time, for long; the others large prompts with short answers.
  void submit(uint64_t tenant) {
    auto request = std::make_unique<Request>();
    request->id = 3 * next_++ + tenant;
    request->tenant_key = tenant;
    request->prompt = std::vector<TokenId>(tenant == kSteady ? 10 : 200, 5);
    request->params.max_tokens = tenant == kSteady ? 50 : 5;
    request->params.ignore_eos = true;
    request->arrival = now_;
    ++alive_[tenant];
    scheduler_.submit(std::move(request), now_, &events_);
  }

  KvManager kv_;
  Scheduler scheduler_;
  std::array<int, 3> alive_{};
  std::vector<TokenEvent> events_;
  Time now_{std::chrono::seconds(1)};
  RequestId next_ = 1;
};

// A new tenant shares with one that has been there for long, though a third has used little all the while: it
// must not first be given as much as the other ever had.
TEST(Fairness, ANewTenantDoesNotInheritTheHistoryOfAModestOne) {
  FairnessHarness harness;
  harness.wanted[kSteady] = 1;  // its next comes shortly before the last has ended
  harness.wanted[kHeavy] = 4;
  harness.run(2000);
  ASSERT_GT(harness.served[kHeavy], 8 * harness.served[kSteady]);
  harness.wanted[kNew] = 4;
  const auto before = harness.served;
  harness.run(400);
  const int64_t heavy = harness.served[kHeavy] - before[kHeavy], fresh = harness.served[kNew] - before[kNew];
  EXPECT_NEAR(static_cast<double>(heavy), static_cast<double>(fresh), 3. * (200 + 2 * 5))
      << "two tenants with the same demand";
}

// A tenant that wanted little for long, then much, does not make up for it.
TEST(Fairness, NoTenantSavesUp) {
  FairnessHarness harness;
  harness.wanted[kNew] = 1;
  harness.wanted[kHeavy] = 4;
  harness.run(500);
  harness.wanted[kNew] = 0;
  harness.wanted[kSteady] = 1;
  harness.run(2000);
  harness.wanted[kNew] = 4;
  harness.wanted[kSteady] = 0;
  harness.run(60);
  const auto before = harness.served;
  harness.run(400);
  const int64_t heavy = harness.served[kHeavy] - before[kHeavy], fresh = harness.served[kNew] - before[kNew];
  EXPECT_NEAR(static_cast<double>(heavy), static_cast<double>(fresh), 3. * (200 + 2 * 5));
}

}  // namespace
}  // namespace pagoda
