// Directed worlds for what random ones hardly meet: long histories between clients.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "kv/kv_manager.h"
#include "schedule/scheduler.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

constexpr uint64_t kSteady = 0, kHeavy = 1, kNew = 2;

class FairHouse {
 public:
  FairHouse() : kv_({testing::full_group(16)}, 400, {.enabled = false}), scheduler_(config(), &kv_) {}
  // Each client's queue is kept at this many.
  std::array<int, 3> wanted{};
  std::array<int64_t, 3> served{};  // tokens by cost

  void run(int num_steps) {
    for (int i = 0; i < num_steps; ++i) {
      for (uint64_t client = 0; client < 3; ++client)
        while (alive_[client] < wanted[client]) submit(client);
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
        const uint64_t client = event.id % 3;
        served[client] += 2 * static_cast<int64_t>(event.out.token.size());
        if (event.counts.num_output == 1) served[client] += event.counts.num_prompt;
        alive_[client] -=
            client == kSteady ? event.counts.num_output == 47 : event.finish != FinishReason::kNone;
      }
      events_.clear();
    }
  }

 private:
  static SchedulerConfig config() {
    return {.max_num_seqs = 3, .max_num_batched_tokens = 512, .policy = SchedulingPolicy::kFair};
  }
  // The steady one wants little at a time, for long; the others large prompts with short answers.
  void submit(uint64_t client) {
    auto request = std::make_unique<Request>();
    request->id = 3 * next_++ + client;
    request->tenant_key = client;
    request->prompt = std::vector<TokenId>(client == kSteady ? 10 : 200, 5);
    request->params.max_tokens = client == kSteady ? 50 : 5;
    request->params.ignore_eos = true;
    request->arrival = now_;
    ++alive_[client];
    scheduler_.submit(std::move(request), now_, &events_);
  }

  KvManager kv_;
  Scheduler scheduler_;
  std::array<int, 3> alive_{};
  std::vector<TokenEvent> events_;
  Time now_{std::chrono::seconds(1)};
  RequestId next_ = 1;
};

// A new client shares with one that has been there for long, though a third has used little all the while: it
// must not first be given as much as the other ever had.
TEST(Fairness, ANewClientDoesNotInheritTheHistoryOfAModestOne) {
  FairHouse house;
  house.wanted[kSteady] = 1;  // its next comes shortly before the last has ended
  house.wanted[kHeavy] = 4;
  house.run(2000);
  ASSERT_GT(house.served[kHeavy], 8 * house.served[kSteady]);
  house.wanted[kNew] = 4;
  const auto before = house.served;
  house.run(400);
  const int64_t heavy = house.served[kHeavy] - before[kHeavy], fresh = house.served[kNew] - before[kNew];
  EXPECT_NEAR(static_cast<double>(heavy), static_cast<double>(fresh), 3. * (200 + 2 * 5))
      << "two clients with the same demand";
}

// Who wanted little for long, then much, does not make up for it.
TEST(Fairness, NobodySavesUp) {
  FairHouse house;
  house.wanted[kNew] = 1;
  house.wanted[kHeavy] = 4;
  house.run(500);
  house.wanted[kNew] = 0;
  house.wanted[kSteady] = 1;
  house.run(2000);
  house.wanted[kNew] = 4;
  house.wanted[kSteady] = 0;
  house.run(60);
  const auto before = house.served;
  house.run(400);
  const int64_t heavy = house.served[kHeavy] - before[kHeavy], fresh = house.served[kNew] - before[kNew];
  EXPECT_NEAR(static_cast<double>(heavy), static_cast<double>(fresh), 3. * (200 + 2 * 5));
}

}  // namespace
}  // namespace pagoda
