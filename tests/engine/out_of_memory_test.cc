// The engine on the real runner, where every allocation of its thread for a step fails in its turn: at most
// one request ends for it, and all others get, in every bit, what they get alone.
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/memory_reserve.h"
#include "engine/engine.h"
#include "tests/engine/engine_harness.h"
#include "tests/runner/plan_driver.h"
#include "tests/testing/allocations.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

constexpr int kVocab = 300, kTokens = 5;

// Keeps all that a request is told.
class Ear : public EventSink {
 public:
  explicit Ear(int num_choices) : tokens(static_cast<std::size_t>(num_choices)), logprobs(tokens.size()) {}
  void on_event(TokenEvent&& event) override {
    std::lock_guard lock(mutex_);
    const auto choice = static_cast<std::size_t>(event.choice);
    for (TokenId token : event.out.token) tokens[choice].push_back(token);
    for (const TopLogprob& top : event.out.top) logprobs[choice].push_back(top.logprob);
    for (const TopLogprob& top : event.prompt.top) prompt_logprobs.push_back(top.logprob);
    no_memory |= event.no_memory;
    EXPECT_EQ(event.finish == FinishReason::kError, event.no_memory);
    num_ended_ += event.finish != FinishReason::kNone;
    changed_.notify_all();
  }
  void on_lost() noexcept override { ADD_FAILURE() << "nothing is lost on the way"; }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, testing::kPatience,
                             [&] { return num_ended_ == static_cast<int>(tokens.size()); });
  }
  std::vector<std::vector<TokenId>> tokens;
  std::vector<std::vector<float>> logprobs;
  std::vector<float> prompt_logprobs;
  bool no_memory = false;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int num_ended_ = 0;
};

// Arms the engine's thread for as long as a step runs.
class ArmedRunner : public ModelRunner {
 public:
  ArmedRunner(std::unique_ptr<ModelRunner> inner, int64_t k, std::size_t smallest)
      : inner_(std::move(inner)), left_(k), smallest_(smallest) {}
  Status launch(const StepPlan& plan) override { return inner_->launch(plan); }
  Status wait(uint64_t step_id, StepResult* result) override {
    allocations_until_failure = left_;
    smallest_failure = smallest_;
    Status done = inner_->wait(step_id, result);
    left_ = std::exchange(allocations_until_failure, -1);
    smallest_failure = SIZE_MAX;
    return done;
  }
  int32_t vocab_size() const override { return inner_->vocab_size(); }
  int32_t max_in_flight() const override { return inner_->max_in_flight(); }

 private:
  std::unique_ptr<ModelRunner> inner_;
  int64_t left_;
  std::size_t smallest_;
};

// With one plan in flight, and with two.
class EngineWithoutMemory : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (!can_allocations_fail()) GTEST_SKIP();
    write_tiny_model(testing::make_tiny_model({.vocab = kVocab}), dir_.path());
    ASSERT_TRUE(keep_memory_reserve());
    alone_ = run(-1, SIZE_MAX);
    allocations_may_fail = true;
  }
  void TearDown() override { allocations_may_fail = false; }

  // A plain one, one with some log-probabilities, and the one that asks for most, all at once.
  std::vector<std::shared_ptr<Ear>> run(int64_t k, std::size_t smallest) {
    testing::EngineHarness harness;
    harness.config.scheduler.max_num_seqs = 8;
    harness.config.scheduler.max_in_flight = GetParam();
    harness.config.scheduler.max_num_batched_tokens = 64;
    testing::RunnerOptions options;
    options.max_num_seqs = 8;
    options.max_num_batched_tokens = 64;
    options.num_blocks = 100;
    auto runner = std::make_unique<ArmedRunner>(testing::load_runner(dir_.path(), options), k, smallest);
    auto kv = std::make_unique<KvManager>(std::vector<KvGroupSpec>{testing::full_group(options.block_size)},
                                          options.num_blocks);
    harness.engine =
        std::make_unique<Engine>(harness.config, std::move(kv), std::move(runner), &harness.metrics);
    std::vector<std::shared_ptr<Ear>> ears;
    std::vector<std::unique_ptr<Request>> requests;
    for (int who = 0; who < 3; ++who) {
      auto request = harness.request({1, who, 7, 5, 3}, kTokens, who + 1);
      request->params.temperature = who == 0 ? 0 : 1;
      request->params.num_logprobs = who == 0 ? -1 : who == 1 ? 2 : kVocab;
      request->params.num_prompt_logprobs = who == 2 ? kVocab : -1;
      ears.push_back(std::make_shared<Ear>(who + 1));
      requests.push_back(std::move(request));
    }
    for (int who = 0; who < 3; ++who) {
      auto ticket = harness.engine->reserve(who + 1);
      EXPECT_TRUE(harness.engine
                      ->submit(std::move(requests[static_cast<std::size_t>(who)]), std::move(*ticket),
                               ears[static_cast<std::size_t>(who)])
                      .ok());
    }
    for (const auto& ear : ears) EXPECT_TRUE(ear->wait());
    EXPECT_TRUE(harness.engine->is_healthy());
    EXPECT_TRUE(harness.all_slots_come_back());
    return ears;
  }
  void expect_as_alone(const std::vector<std::shared_ptr<Ear>>& ears, std::size_t who) {
    EXPECT_FALSE(ears[who]->no_memory);
    EXPECT_EQ(ears[who]->tokens, alone_[who]->tokens);
    EXPECT_EQ(ears[who]->logprobs, alone_[who]->logprobs);
    EXPECT_EQ(ears[who]->prompt_logprobs, alone_[who]->prompt_logprobs);
  }

  testing::TempDir dir_;
  std::vector<std::shared_ptr<Ear>> alone_;
};

INSTANTIATE_TEST_SUITE_P(PlansInFlight, EngineWithoutMemory, ::testing::Values(1, 2));

TEST_P(EngineWithoutMemory, WhoAsksForMostIsEnded) {
  const auto ears = run(-1, 2 * kVocab * sizeof(TopLogprob));
  EXPECT_TRUE(ears[2]->no_memory);
  for (std::size_t who : {0u, 1u}) expect_as_alone(ears, who);
}

TEST_P(EngineWithoutMemory, AnyAllocationOfAStepMayFail) {
  int num_ended = 0;
  for (int64_t k = 0;; ++k) {
    const int64_t failures = num_failures;
    const auto ears = run(k, SIZE_MAX);
    int num_bad = 0;
    for (std::size_t who = 0; who < ears.size(); ++who) {
      num_bad += ears[who]->no_memory;
      if (!ears[who]->no_memory) expect_as_alone(ears, who);
    }
    EXPECT_LE(num_bad, 1) << k;
    num_ended += num_bad;
    if (num_failures == failures) break;
  }
  EXPECT_GT(num_ended, 0);  // how many depends on who shares the step
}

}  // namespace
}  // namespace pagoda
