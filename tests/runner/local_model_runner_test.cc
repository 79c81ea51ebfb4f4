#include "runner/local_model_runner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "base/json.h"
#include "tests/runner/plan_driver.h"
#include "tests/testing/test_data.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using testing::Backend;
using testing::load_runner;
using testing::Outcome;
using testing::PlanDriver;
using testing::RunnerOptions;

SamplingParams greedy(int32_t num_logprobs = -1) {
  SamplingParams params;
  params.temperature = 0;
  params.num_logprobs = num_logprobs;
  return params;
}

std::vector<TokenId> some_ids(int count, int vocab, int salt) {
  std::vector<TokenId> ids;
  for (int i = 0; i < count; ++i) ids.push_back((i * i * 5 + i * (3 + salt) + salt) % vocab);
  return ids;
}

void expect_same(const Outcome& a, const Outcome& b) {
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.logprobs, b.logprobs);
  EXPECT_EQ(a.ranks, b.ranks);
  EXPECT_EQ(a.prompt_logprobs, b.prompt_logprobs);
  ASSERT_EQ(a.top.size(), b.top.size());
  for (std::size_t i = 0; i < a.top.size(); ++i) {
    ASSERT_EQ(a.top[i].size(), b.top[i].size());
    for (std::size_t j = 0; j < a.top[i].size(); ++j) {
      EXPECT_EQ(a.top[i][j].id, b.top[i][j].id);
      EXPECT_EQ(a.top[i][j].logprob, b.top[i][j].logprob);
    }
  }
}

struct Golden {
  std::vector<TokenId> ids;
  std::vector<std::vector<double>> logprobs;  // [200][512]

  explicit Golden(const std::string& folder) {
    const Value golden = parse_json(read_file(folder + "/golden.json").value()).value();
    for (const Value& id : golden.find("ids")->as_array()) ids.push_back(static_cast<TokenId>(id.as_int()));
    const std::string raw = read_file(folder + "/logits_run_c.f32").value();
    for (std::size_t t = 0; t < 200; ++t) {
      float logits[512];
      std::memcpy(logits, raw.data() + t * sizeof logits, sizeof logits);
      double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<double>(logit));
      std::vector<double>& row = logprobs.emplace_back();
      for (float logit : logits) row.push_back(static_cast<double>(logit) - std::log(sum));
    }
  }
};

TEST(LocalModelRunner, TellsStories260KAsRunCDoes) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "models/stories260K");
  const Golden golden(folder);
  RunnerOptions options;
  auto runner = load_runner(folder, options);
  ASSERT_EQ(runner->vocab_size(), 512);
  PlanDriver driver(runner.get(), options);
  const std::size_t seq = driver.add({1}, greedy(512));
  driver.generate(seq, 199);
  const Outcome& outcome = driver[seq].outcome;
  EXPECT_EQ(outcome.tokens, std::vector<TokenId>(golden.ids.begin() + 1, golden.ids.begin() + 200));
  double worst = 0;
  for (std::size_t t = 0; t < 199; ++t) {
    ASSERT_EQ(outcome.top[t].size(), 512u);
    EXPECT_EQ(outcome.ranks[t], 1);
    EXPECT_EQ(outcome.top[t][0].id, outcome.tokens[t]);
    for (const TopLogprob& top : outcome.top[t])
      worst = std::max(worst, std::abs(static_cast<double>(top.logprob) -
                                       golden.logprobs[t][static_cast<std::size_t>(top.id)]));
  }
  EXPECT_LT(worst, 1e-4);

  // The same, fed back as a prompt in pieces, and among others: not a bit differs.
  const std::size_t chunked = driver.add({golden.ids.begin(), golden.ids.begin() + 150}, greedy(512));
  driver.generate(chunked, 49, 37);
  for (std::size_t i = 0; i < 49; ++i) {
    EXPECT_EQ(driver[chunked].outcome.tokens[i], outcome.tokens[149 + i]);
    EXPECT_EQ(driver[chunked].outcome.logprobs[i], outcome.logprobs[149 + i]);
  }
}

TEST(LocalModelRunner, StoriesAmong63OthersAndPreempted) {
  PAGODA_TEST_DATA_OR_SKIP(folder, "models/stories260K");
  RunnerOptions options;
  options.num_blocks = 1500;
  options.num_threads = 2;
  auto runner = load_runner(folder, options);
  PlanDriver driver(runner.get(), options);
  const std::size_t alone = driver.add({1}, greedy(3));
  driver.generate(alone, 60);
  const std::size_t among = driver.add({1}, greedy(3));
  std::vector<std::size_t> all = {among};
  for (int i = 1; i < 64; ++i)
    all.insert(all.begin() + i / 2, driver.add(some_ids(1 + i * 3 % 50, 512, i), greedy(i % 3 - 1)));
  for (int step = 0; driver[among].num_output() < 60; ++step) {
    if (step == 25) driver.preempt(among);
    std::vector<std::pair<std::size_t, int32_t>> pieces;
    int32_t budget = 590;
    for (std::size_t seq : all) {
      const int32_t count = std::min({driver[seq].num_waiting(), budget, 17});
      if (count > 0) pieces.push_back({seq, count});
      budget -= count;
    }
    driver.step(pieces);
  }
  expect_same(driver[alone].outcome, driver[among].outcome);
}

// On every backend.
class TinyRunner : public ::testing::TestWithParam<Backend> {
 protected:
  void make(const testing::TinyModelOptions& model) {
    vocab_ = model.vocab;
    write_tiny_model(make_tiny_model(model), dir_.path());
  }
  std::vector<SamplingParams> mixed_params() const {
    std::vector<SamplingParams> all;
    for (int i = 0; i < 9; ++i) {
      SamplingParams p = i % 3 == 0 ? greedy() : SamplingParams{};
      p.seed = static_cast<uint64_t>(i) * 1000003;
      p.num_logprobs = i % 4 - 1;
      if (i % 2 == 1) p.repetition_penalty = 1.3f, p.presence_penalty = 0.2f;
      if (i % 3 == 1) p.top_k = 12, p.top_p = 0.9f;
      if (i % 3 == 2) p.min_p = 0.03f, p.frequency_penalty = 0.4f;
      if (i == 4) p.num_prompt_logprobs = 2;
      all.push_back(p);
    }
    return all;
  }
  testing::TempDir dir_;
  int vocab_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Backends, TinyRunner, ::testing::Values(Backend::kCpu, Backend::kGuarded),
                         [](const auto& each) { return testing::backend_name(each.param); });

// The property: whatever else runs, in whatever pieces, preempted or not, on however many threads, with
// whatever block size, a sequence gets the same tokens and log-probabilities to the bit.
TEST_P(TinyRunner, TheSameAnswerUnderAnyLoad) {
  make({.vocab = 130,
        .hidden = 48,
        .intermediate = 80,
        .head_dim = 12,
        .dtype = "bfloat16",
        .llama3_rope = true});
  const std::vector<SamplingParams> params = mixed_params();
  for (DType kv_dtype : {DType::kF32, DType::kBF16, DType::kI8, DType::kF8E4M3}) {
    std::vector<Outcome> alone;
    {
      RunnerOptions options{.kv_dtype = kv_dtype, .backend = GetParam()};
      auto runner = load_runner(dir_.path(), options);
      PlanDriver driver(runner.get(), options);
      for (std::size_t i = 0; i < params.size(); ++i) {
        const std::size_t seq =
            driver.add(some_ids(5 + static_cast<int>(i) * 13, vocab_, static_cast<int>(i)), params[i]);
        driver.generate(seq, 20);
        alone.push_back(driver[seq].outcome);
      }
    }
    for (uint64_t round = 0; round < 3; ++round) {
      SplitMix64 rng(round + 40);
      RunnerOptions options{.num_threads = static_cast<int32_t>(round % 2 + 1),
                            .block_size = round == 2 ? 32 : 16,
                            .kv_dtype = kv_dtype,
                            .logits_bytes = round == 1 ? 3u * 130 * 4 : kLogitsBytes,
                            .backend = GetParam()};
      auto runner = load_runner(dir_.path(), options);
      PlanDriver driver(runner.get(), options);
      for (std::size_t i = 0; i < params.size(); ++i)
        driver.add(some_ids(5 + static_cast<int>(i) * 13, vocab_, static_cast<int>(i)), params[i]);
      for (bool busy = true; busy;) {
        busy = false;
        std::vector<std::pair<std::size_t, int32_t>> pieces;
        for (std::size_t i = 0; i < params.size(); ++i) {
          if (driver[i].num_output() >= 20) continue;
          busy = true;
          if (params[i].num_prompt_logprobs < 0 && driver[i].row >= 0 && rng.below(25) == 0)
            driver.preempt(i);
          if (rng.below(4) == 0) continue;
          pieces.push_back(
              {i, static_cast<int32_t>(1 + rng.below(std::min<uint64_t>(
                                               40, static_cast<uint64_t>(driver[i].num_waiting()))))});
        }
        for (std::size_t i = pieces.size(); i > 1; --i) std::swap(pieces[i - 1], pieces[rng.below(i)]);
        if (!pieces.empty()) driver.step(pieces);
      }
      for (std::size_t i = 0; i < params.size(); ++i) {
        SCOPED_TRACE(i);
        expect_same(driver[i].outcome, alone[i]);
      }
    }
  }
}

class OtherBackends : public TinyRunner {};
INSTANTIATE_TEST_SUITE_P(Backends, OtherBackends, ::testing::Values(Backend::kGuarded),
                         [](const auto& each) { return testing::backend_name(each.param); });
TEST_P(OtherBackends, GiveTheBitsOfTheCpu) {
  make({.vocab = 130,
        .hidden = 48,
        .intermediate = 80,
        .head_dim = 12,
        .attention_bias = true,
        .mlp_bias = true});
  const std::vector<SamplingParams> params = mixed_params();
  const std::pair<const char*, DType> kinds[] = {
      {"none", DType::kBF16}, {"int8", DType::kI8}, {"int4-g32-zp", DType::kF8E4M3}};
  for (const auto& [quantization, kv_dtype] : kinds) {
    SCOPED_TRACE(quantization);
    std::map<Backend, std::vector<Outcome>> outcomes;
    for (Backend backend : {Backend::kCpu, GetParam()}) {
      RunnerOptions options{.num_threads = 2, .kv_dtype = kv_dtype, .backend = backend};
      options.format = quantized_format(quantization);
      auto runner = load_runner(dir_.path(), options);
      PlanDriver driver(runner.get(), options);
      for (std::size_t i = 0; i < params.size(); ++i) {
        const std::size_t seq =
            driver.add(some_ids(5 + static_cast<int>(i) * 7, vocab_, static_cast<int>(i)), params[i]);
        driver.generate(seq, 8, 16);
        outcomes[backend].push_back(driver[seq].outcome);
      }
    }
    for (std::size_t i = 0; i < params.size(); ++i)
      expect_same(outcomes[GetParam()][i], outcomes[Backend::kCpu][i]);
  }
}

TEST_P(TinyRunner, ChoicesForkAfterOnePrefill) {
  make({.vocab = 64});
  for (int length : {33, 32, 1}) {  // a partial last block, a full one, one token
    RunnerOptions options{.backend = GetParam()};
    auto runner = load_runner(dir_.path(), options);
    PlanDriver driver(runner.get(), options);
    SamplingParams first, second;
    first.seed = 5;
    second.seed = 6;
    first.num_logprobs = second.num_logprobs = 0;
    const std::size_t leader = driver.add(some_ids(length, 64, 1), first),
                      twin = driver.add_twin(leader, second);
    driver.step({{leader, length}});
    for (int i = 0; i < 20; ++i) driver.step({{leader, 1}, {twin, 1}});
    const std::size_t a = driver.add(some_ids(length, 64, 1), first),
                      b = driver.add(some_ids(length, 64, 1), second);
    driver.generate(a, 21);
    driver.generate(b, 21);
    expect_same(driver[leader].outcome, driver[a].outcome);
    expect_same(driver[twin].outcome, driver[b].outcome);
    EXPECT_NE(driver[a].outcome.tokens, driver[b].outcome.tokens);
  }
}

TEST_P(TinyRunner, LogprobsAgreeWithTheDefinition) {
  make({.vocab = 70, .seed = 3});
  RunnerOptions options{.backend = GetParam()};
  options.logits_bytes = 1;  // a row at a time
  auto runner = load_runner(dir_.path(), options);
  PlanDriver driver(runner.get(), options);
  SamplingParams params = greedy(5);
  params.num_prompt_logprobs = 3;
  const std::vector<TokenId> prompt = some_ids(40, 70, 2);
  const std::size_t seq = driver.add(prompt, params);
  driver.generate(seq, 3, 11);
  const auto exact = testing::make_tiny_model({.vocab = 70, .seed = 3}).logits(driver[seq].tokens);
  const Outcome& outcome = driver[seq].outcome;
  ASSERT_EQ(outcome.prompt_logprobs.size(), 39u);
  for (std::size_t t = 0; t + 1 < driver[seq].tokens.size(); ++t) {
    double sum = 0;
    for (double logit : exact[t]) sum += std::exp(logit);
    const auto next = static_cast<std::size_t>(driver[seq].tokens[t + 1]);
    const float found = t < 39 ? outcome.prompt_logprobs[t] : outcome.logprobs[t - 39];
    EXPECT_NEAR(static_cast<double>(found), exact[t][next] - std::log(sum), 1e-4);
    const auto& top = t < 39 ? outcome.prompt_top[t] : outcome.top[t - 39];
    ASSERT_EQ(top.size(), t < 39 ? 3u : 5u);
    const auto best =
        static_cast<TokenId>(std::max_element(exact[t].begin(), exact[t].end()) - exact[t].begin());
    EXPECT_EQ(top[0].id, best);
    if (t >= 39) {
      EXPECT_EQ(driver[seq].tokens[t + 1], best);
    }
  }
}

TEST_P(TinyRunner, ASecondPlanMayPrecedeTheFirstResult) {
  make({.vocab = 64});
  RunnerOptions options{.backend = GetParam()};
  auto runner = load_runner(dir_.path(), options);
  PlanDriver driver(runner.get(), options);
  const std::size_t plain = driver.add(some_ids(20, 64, 4), greedy(0)),
                    seq = driver.add(some_ids(20, 64, 4), greedy(0));
  driver.generate(plain, 2);
  StepPlan first = driver.plan({{seq, 20}});
  driver[seq].tokens.push_back(kFromLastStep);  // planned before it is known
  StepPlan second = driver.plan({{seq, 1}}, true);
  driver[seq].tokens.pop_back();
  ASSERT_EQ(second.tokens, std::vector<TokenId>{kFromLastStep});
  ASSERT_TRUE(runner->launch(first).ok());
  ASSERT_TRUE(runner->launch(second).ok());
  driver.wait_for(first);
  driver.wait_for(second);
  expect_same(driver[seq].outcome, driver[plain].outcome);
}

// Whose token is not there goes on with any, and the others do not notice.
TEST_P(TinyRunner, ASecondPlanMayFollowASampleWithoutAToken) {
  make({.vocab = 64});
  RunnerOptions options{.backend = GetParam()};
  auto runner = load_runner(dir_.path(), options);
  PlanDriver driver(runner.get(), options);
  const std::size_t plain = driver.add(some_ids(20, 64, 4), greedy(0)),
                    none = driver.add(some_ids(11, 64, 5), greedy(0)),
                    seq = driver.add(some_ids(20, 64, 4), greedy(0));
  driver.generate(plain, 2);
  StepPlan first = driver.plan({{none, 11}, {seq, 20}});
  first.mask_words = 2;
  first.masks = {0, 0};
  first.samples[0].mask_row = 0;
  for (std::size_t i : {none, seq}) driver[i].tokens.push_back(kFromLastStep);
  const StepPlan second = driver.plan({{none, 1}, {seq, 1}}, true);
  for (std::size_t i : {none, seq}) driver[i].tokens.pop_back();
  ASSERT_TRUE(runner->launch(first).ok());
  ASSERT_TRUE(runner->launch(second).ok());
  driver.wait_for(first);
  EXPECT_TRUE(driver[none].outcome.bad);
  driver.wait_for(second);
  expect_same(driver[seq].outcome, driver[plain].outcome);
}

TEST_P(TinyRunner, AMaskRulesTheDraw) {
  make({.vocab = 64});
  RunnerOptions options{.backend = GetParam()};
  auto runner = load_runner(dir_.path(), options);
  PlanDriver driver(runner.get(), options);
  const std::size_t a = driver.add({1, 2}, greedy()), b = driver.add({1, 2}, greedy());
  StepPlan plan = driver.plan({{a, 2}, {b, 2}});
  plan.mask_words = 2;
  plan.masks = {0, 0, 0, 1u << 9};  // the second one: 41 only
  plan.samples[1].mask_row = 1;
  ASSERT_TRUE(runner->launch(plan).ok());
  StepResult result;
  ASSERT_TRUE(runner->wait(plan.step_id, &result).ok());
  EXPECT_EQ(result.token[1], 41);
  EXPECT_EQ(result.bad, (std::vector<uint8_t>{0, 0}));
  EXPECT_EQ(result.num_accepted.size(), 2u);
  EXPECT_GT(result.device_ms, 0);
}

TEST_P(TinyRunner, OneSequencesNanIsItsOwn) {
  testing::TinyModel model = testing::make_tiny_model({.vocab = 64});
  for (int i = 0; i < 32; ++i)
    model.tensors[0].values[static_cast<std::size_t>(7 * 32 + i)] = NAN;  // token 7
  write_tiny_model(model, dir_.path());
  RunnerOptions options{.backend = GetParam()};
  auto runner = load_runner(dir_.path(), options);
  PlanDriver driver(runner.get(), options);
  const std::size_t good = driver.add({1, 2, 3}, greedy(2)), poisoned = driver.add({1, 7, 3}, greedy(2));
  const std::size_t alone = driver.add({1, 2, 3}, greedy(2));
  driver.step({{poisoned, 3}, {good, 3}});
  EXPECT_TRUE(driver[poisoned].outcome.bad);
  EXPECT_FALSE(driver[good].outcome.bad);
  driver.preempt(poisoned);
  driver.generate(good, 5);
  // Blocks that held NaN are used again.
  driver.generate(alone, 5);
  expect_same(driver[good].outcome, driver[alone].outcome);
}

TEST_P(TinyRunner, AWindowLooksBackNoFurther) {
  make({.vocab = 64, .sliding_window = 24, .architecture = "MistralForCausalLM"});
  RunnerOptions options{.backend = GetParam()};
  auto runner = load_runner(dir_.path(), options);
  PlanDriver driver(runner.get(), options);
  const std::vector<TokenId> prompt = some_ids(90, 64, 3);
  const std::size_t whole = driver.add(prompt, greedy(3)), chunked = driver.add(prompt, greedy(3));
  driver.generate(whole, 10);
  driver.step({{chunked, 70}});
  // What has fallen behind the window is forgotten.
  StepPlan plan = driver.plan({{chunked, 20}});
  plan.new_blocks.push_back({driver[chunked].row, 0, 0, static_cast<int32_t>(plan.block_ids.size()), 2});
  plan.block_ids.insert(plan.block_ids.end(), {kNullBlock, kNullBlock});
  driver.run(plan);
  driver.generate(chunked, 10);
  expect_same(driver[whole].outcome, driver[chunked].outcome);
}

class LocalModelRunnerDeathTest : public TinyRunner {};
INSTANTIATE_TEST_SUITE_P(Cpu, LocalModelRunnerDeathTest, ::testing::Values(Backend::kCpu));
TEST_P(LocalModelRunnerDeathTest, APlanThatDoesNotFitIsAFailedCheck) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  make({.vocab = 64});
  auto run = [&](auto change) {
    RunnerOptions options{.backend = GetParam()};
    auto runner = load_runner(dir_.path(), options);
    PlanDriver driver(runner.get(), options);
    driver.add({1, 2, 3}, greedy());
    StepPlan plan = driver.plan({{0, 3}});
    change(&plan);
    (void)runner->launch(plan);
    StepResult result;
    (void)runner->wait(plan.step_id, &result);
  };
  EXPECT_DEATH(run([](StepPlan* p) { p->freed_rows.push_back(4); }), "row that is not alive");
  EXPECT_DEATH(run([](StepPlan* p) { p->new_blocks.clear(); }), "blocks for all tokens");
  EXPECT_DEATH(run([](StepPlan* p) { p->block_ids[0] = 400; }), "block of the cache");
  EXPECT_DEATH(run([](StepPlan* p) { p->tokens[4] = 9; }), "agree on a token");
  EXPECT_DEATH(run([](StepPlan* p) { p->samples[0].output_index = 1; }), "agree on the length");
}

}  // namespace
}  // namespace pagoda
