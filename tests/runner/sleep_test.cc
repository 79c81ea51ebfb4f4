// A runner that sleeps gives its memory back, and answers the same once it is awake again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "model/registry.h"
#include "tests/runner/plan_driver.h"
#include "tests/testing/tiny_model.h"
#include "weights/dummy_checkpoint.h"

namespace pagoda {
namespace {

using ::testing::HasSubstr;
using testing::PlanDriver;
using testing::RunnerOptions;

constexpr int64_t kMiB = 1 << 20;

int64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

// Some 115 MiB of dummy weights; the cache of 1000 blocks takes 125 MiB.
ModelSpec large_spec() {
  const testing::TinyModel model{.options = {.vocab = 16000,
                                             .hidden = 512,
                                             .intermediate = 1536,
                                             .layers = 4,
                                             .heads = 8,
                                             .kv_heads = 4,
                                             .head_dim = 64},
                                 .tensors = {}};
  return read_model_spec(model.config_json(), "config.json").value();
}

class Sleeper : public ::testing::Test {
 protected:
  void make(bool can_reload = true, testing::Backend backend = testing::Backend::kCpu) {
    options_.max_num_seqs = 8;
    options_.max_num_batched_tokens = 64;
    options_.num_blocks = 1000;
    auto stream = testing::make_stream(backend, 2);
    auto decoder = load(*stream);
    ASSERT_TRUE(decoder.ok()) << decoder.status().message();
    weight_bytes_ = static_cast<int64_t>((*decoder)->weight_bytes());
    auto runner = LocalModelRunner::create(
        {options_.max_num_seqs, options_.max_num_batched_tokens, options_.block_size, options_.num_blocks,
         DType::kF32},
        std::move(stream), std::move(*decoder),
        can_reload ? DecoderLoader([this](ComputeStream& again) { return load(again); }) : DecoderLoader());
    ASSERT_TRUE(runner.ok()) << runner.status().message();
    runner_ = std::move(*runner);
    static_cast<LocalModelRunner&>(*runner_).fill_kv_for_benchmark();  // as after a long day
  }
  Result<std::unique_ptr<Decoder>> load(ComputeStream& stream) {
    if (!files_are_there_) return not_found("'model.safetensors' is gone");
    auto checkpoint = make_dummy_checkpoint(tensor_list(spec_), DType::kF32, 7, &stream.pool());
    return Decoder::load(spec_, *checkpoint, {}, stream);
  }

  const ModelSpec spec_ = large_spec();
  RunnerOptions options_;
  bool files_are_there_ = true;
  int64_t weight_bytes_ = 0;
  std::unique_ptr<ModelRunner> runner_;
};

TEST_F(Sleeper, GivesItsMemoryBackAndSaysTheSameAfterwards) {
  make();
  constexpr int64_t kKvBytes = 125 * kMiB;
  ASSERT_GT(weight_bytes_, 100 * kMiB);
  PlanDriver driver(runner_.get(), options_);
  SamplingParams params;
  params.seed = 3;
  params.num_logprobs = 2;
  params.max_tokens = 64;
  const std::vector<TokenId> prompt = {1, 500, 3, 15999, 20, 8};
  const std::size_t before = driver.add(prompt, params), cut_short = driver.add(prompt, params);
  driver.generate(before, 20);
  driver.generate(cut_short, 9);
  for (int level : {1, 2}) {
    const int64_t awake = resident_bytes();
    ASSERT_TRUE(runner_->sleep(level).ok());
    EXPECT_TRUE(runner_->is_sleeping());
    const int64_t asleep = resident_bytes();
    EXPECT_LT(asleep, awake - (weight_bytes_ + (level == 1 ? kKvBytes : 0)) * 9 / 10) << "level " << level;
    EXPECT_EQ(runner_->vocab_size(), 16000);
    EXPECT_TRUE(runner_->sleep(level).ok());  // again: nothing

    ASSERT_TRUE(runner_->wake().ok());
    EXPECT_FALSE(runner_->is_sleeping());
    EXPECT_TRUE(runner_->wake().ok());
    const std::size_t after = driver.add(prompt, params);
    driver.generate(after, 20);
    EXPECT_EQ(driver[after].outcome.tokens, driver[before].outcome.tokens);
    EXPECT_EQ(driver[after].outcome.logprobs, driver[before].outcome.logprobs);
  }
  // A row from before starts over with all its tokens, and goes on as if nothing had been.
  driver.preempt(cut_short);
  driver.generate(cut_short, 20);
  EXPECT_EQ(driver[cut_short].outcome.tokens, driver[before].outcome.tokens);
}

TEST_F(Sleeper, OnABackendWithMemoryOfItsOwn) {
  make(true, testing::Backend::kGuarded);
  PlanDriver driver(runner_.get(), options_);
  SamplingParams params;
  params.num_logprobs = 1;
  const std::size_t before = driver.add({1, 500, 3}, params);
  driver.generate(before, 4);
  ASSERT_TRUE(runner_->sleep(1).ok());
  ASSERT_TRUE(runner_->wake().ok());
  const std::size_t after = driver.add({1, 500, 3}, params);
  driver.generate(after, 4);
  EXPECT_EQ(driver[after].outcome.tokens, driver[before].outcome.tokens);
  EXPECT_EQ(driver[after].outcome.logprobs, driver[before].outcome.logprobs);
}

TEST_F(Sleeper, AFailedWakeMayBeTriedAgain) {
  make();
  ASSERT_TRUE(runner_->sleep(1).ok());
  files_are_there_ = false;
  for (int i = 0; i < 2; ++i) {
    const Status failed = runner_->wake();
    EXPECT_EQ(failed.code(), StatusCode::kNotFound);
    EXPECT_THAT(failed.message(), HasSubstr("model.safetensors"));
    EXPECT_TRUE(runner_->is_sleeping());
  }
  files_are_there_ = true;
  ASSERT_TRUE(runner_->wake().ok());
  PlanDriver driver(runner_.get(), options_);
  const std::size_t seq = driver.add({1, 2, 3}, {});
  driver.generate(seq, 3);
  EXPECT_FALSE(driver[seq].outcome.bad);
}

TEST_F(Sleeper, RefusesWhatItCannot) {
  make();
  for (int level : {-1, 0, 3}) EXPECT_EQ(runner_->sleep(level).code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(runner_->is_sleeping());
  make(false);
  EXPECT_EQ(runner_->sleep(1).code(), StatusCode::kUnimplemented);
  EXPECT_FALSE(runner_->is_sleeping());
}

using SleeperDeathTest = Sleeper;
TEST_F(SleeperDeathTest, NothingIsLaunchedWhileAsleep) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  make();
  PlanDriver driver(runner_.get(), options_);
  driver.add({1, 2, 3}, {});
  const StepPlan plan = driver.plan({{0, 3}});
  ASSERT_TRUE(runner_->sleep(1).ok());
  EXPECT_DEATH((void)runner_->launch(plan), "while asleep");
}

}  // namespace
}  // namespace pagoda
