#include "loadgen/offline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/json.h"
#include "base/log.h"
#include "tests/testing/fake_runner.h"
#include "tests/testing/kv_specs.h"
#include "tests/testing/scheduler_config.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;

struct Harness {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64};
  std::unique_ptr<Engine> engine;

  explicit Harness(std::function<Status(const StepPlan&)> on_wait = nullptr) {
    const EngineConfig config = testing::countable_engine(
        {.max_num_seqs = 4, .max_num_batched_tokens = 32, .max_model_len = 64, .max_num_queued_reqs = 40});
    testing::FakeModel model{.seed = 5, .vocab_size = 50};
    auto runner = std::make_unique<testing::FakeRunner>(
        model, std::vector<KvGroupSpec>{testing::full_group(4, 1)}, 60, 4);
    runner->on_wait = std::move(on_wait);
    engine = std::make_unique<Engine>(
        config, std::make_unique<KvManager>(std::vector<KvGroupSpec>{testing::full_group(4)}, 60),
        std::move(runner), &metrics);
  }
};

std::vector<BenchPrompt> prompts_of(std::size_t count) {
  std::vector<BenchPrompt> prompts;
  for (std::size_t i = 0; i < count; ++i)
    prompts.push_back({"", std::vector<int32_t>(i + 1, 7), std::ssize(prompts) + 1, 5});
  return prompts;
}

TEST(Offline, EveryAnswerHasItsLength) {
  Harness harness;
  OfflineOptions options{.n = 2};
  std::atomic<std::size_t> ended = 0;
  options.on_progress = [&](std::size_t done) { ended = done; };
  OfflineResult result = run_offline(harness.engine.get(), prompts_of(6), options).value();
  EXPECT_EQ(result.num_prompt_tokens, 1 + 2 + 3 + 4 + 5 + 6);
  EXPECT_EQ(result.num_output_tokens, 6 * 2 * 5);
  EXPECT_GT(result.elapsed_s, 0);
  EXPECT_EQ(ended, 12u);
  EXPECT_TRUE(run_offline(harness.engine.get(), prompts_of(20), {}).ok()) << "and again";
}

TEST(Offline, AFullQueueAndADeadEngineAreErrors) {
  Harness harness;
  EXPECT_FALSE(run_offline(harness.engine.get(), prompts_of(41), {}).ok());
  EXPECT_TRUE(run_offline(harness.engine.get(), prompts_of(3), {}).ok()) << "a refusal leaves nothing behind";
  set_log_level(LogLevel::kOff);
  Harness broken([](const StepPlan&) { return internal_error("the device fell off"); });
  Result<OfflineResult> result = run_offline(broken.engine.get(), prompts_of(3), {});
  set_log_level(LogLevel::kInfo);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.status().message(), HasSubstr("fail"));
}

TEST(Offline, Reports) {
  OfflineResult result{2, 300, 100};
  EXPECT_EQ(throughput_report(result, 10),
            "Throughput: 5.00 requests/s, 200.00 total tokens/s, 50.00 output tokens/s\n"
            "Total num prompt tokens:  300\nTotal num output tokens:  100\n");
  EXPECT_EQ(write_json(Value(throughput_result(result, 10))),
            R"({"elapsed_time":2.0,"num_requests":10,"total_num_tokens":400,)"
            R"("requests_per_second":5.0,"tokens_per_second":200.0})");
  std::string report = latency_report({3, 1, 2});
  EXPECT_THAT(report, HasSubstr("Avg latency: 2.0 seconds\n10% percentile latency: 1.2 seconds\n"));
  EXPECT_THAT(report, HasSubstr("\n90% percentile latency: 2.8 seconds\n"));
  EXPECT_EQ(write_json(Value(latency_result({2, 2}))),
            R"({"avg_latency":2.0,"latencies":[2.0,2.0],"percentiles":)"
            R"({"10":2.0,"25":2.0,"50":2.0,"75":2.0,"90":2.0,"99":2.0}})");
}

}  // namespace
}  // namespace pagoda
