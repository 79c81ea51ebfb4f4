// A whole small engine on the real runner: scheduler, prefix cache, offloading, forks, preemption and
// sampling give the same answers on a backend whose memory the host cannot touch, and with two plans in
// flight, as on the CPU with one.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/mmap.h"
#include "base/rng.h"
#include "model/registry.h"
#include "runner/local_model_runner.h"
#include "tests/engine/engine_harness.h"
#include "tests/testing/guarded_backend.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using testing::Backend;
using testing::EngineHarness;
using testing::Sink;

constexpr int32_t kBlockSize = 8, kNumBlocks = 48, kOffloadSlots = 40, kVocab = 96;

struct RealHarness : EngineHarness {
  explicit RealHarness(Backend backend, int max_in_flight = 1) : EngineHarness(max_in_flight) {
    testing::write_tiny_model(testing::make_tiny_model({.vocab = kVocab, .dtype = "bfloat16"}), dir.path());
    const ModelSpec spec =
        read_model_spec(read_file(dir.path() + "/config.json").value(), "config.json").value();
    std::unique_ptr<ComputeStream> stream = testing::make_stream(backend, 2);
    auto checkpoint = Checkpoint::open(dir.path()).value();
    auto decoder = Decoder::load(spec, *checkpoint, {.max_positions = 128}, *stream).value();
    config.scheduler.max_num_seqs = 6;
    config.scheduler.max_model_len = 128;
    config.scheduler.max_num_queued_reqs = 200;
    const RunnerSizes sizes{.max_num_seqs = config.scheduler.max_num_seqs,
                            .max_num_batched_tokens = config.scheduler.max_num_batched_tokens,
                            .block_size = kBlockSize,
                            .num_blocks = kNumBlocks,
                            .kv_dtype = DType::kI8};
    const std::vector<KvGroupSpec> groups = kv_groups(spec.config, sizes.kv_dtype, kBlockSize, stream->ops());
    auto runner = LocalModelRunner::create(sizes, std::move(stream), std::move(decoder), {},
                                           {.num_slots = kOffloadSlots, .disk = nullptr});
    PrefixCacheConfig cache;
    cache.offload_slots = kOffloadSlots;
    engine = std::make_unique<Engine>(config, std::make_unique<KvManager>(groups, kNumBlocks, cache),
                                      std::move(*runner), &metrics);
  }
  testing::TempDir dir;
};

// Of each choice in turn.
struct Answers {
  std::vector<std::vector<TokenId>> tokens;
  std::vector<FinishReason> finish;
};

// The answers to many requests at once: few prompts with common beginnings, so that the cache is hit, more
// than it holds, so that blocks are offloaded and sequences preempted; choices fork; some end by a stop
// token. Requests whose number is 5 more than a multiple of cancel_one_in are cancelled after a few tokens.
Answers answers(EngineHarness* harness, int cancel_one_in = 0) {
  SplitMix64 random(3);
  std::vector<std::shared_ptr<Sink>> sinks;
  std::vector<int> choices;
  std::vector<RequestId> ids;
  for (int i = 0; i < 60; ++i) {
    std::vector<TokenId> prompt;
    SplitMix64 topic(random.below(5));
    const auto size = static_cast<int32_t>(10 + random.below(60));
    for (int32_t t = 0; t < size; ++t) prompt.push_back(static_cast<TokenId>(topic.below(kVocab)));
    auto request = harness->request(prompt, static_cast<int>(1 + random.below(30)), i % 7 == 0 ? 3 : 1);
    request->params.seed = static_cast<uint64_t>(i);
    request->params.ignore_eos = true;
    request->params.temperature = i % 3 == 0 ? 0.0f : 0.9f;
    request->params.frequency_penalty = i % 4 == 0 ? 0.4f : 0.0f;
    if (i % 5 == 0) request->params.logit_bias = {{7, -3.0f}};
    if (i % 6 == 1) request->params.stop_token_ids = {2, 3, 5, 11, 13, 17, 23, 29, 41, 58};
    choices.push_back(request->n);
    sinks.push_back(std::make_shared<Sink>());
    ids.push_back(harness->submit(std::move(request), sinks.back()));
  }
  for (std::size_t i = 5; cancel_one_in > 0 && i < sinks.size(); i += static_cast<std::size_t>(cancel_one_in))
    if (sinks[i]->wait_events(1)) harness->engine->cancel(ids[i]);
  Answers out;
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->wait_ended(choices[i]));
    for (int choice = 0; choice < choices[i]; ++choice) {
      out.tokens.push_back(sinks[i]->tokens(choice));
      out.finish.push_back(sinks[i]->finish(choice));
    }
  }
  EXPECT_TRUE(harness->all_blocks_come_back());
  return out;
}

TEST(RealRunner, AGuardedBackendGivesTheSameAnswers) {
  RealHarness cpu(Backend::kCpu), guarded(Backend::kGuarded);
  EXPECT_EQ(answers(&guarded).tokens, answers(&cpu).tokens);
  EXPECT_GT(guarded.engine->stats().offload.num_loads, 0u);
}

TEST(RealRunner, TwoPlansInFlightGiveTheSameAnswers) {
  RealHarness one(Backend::kCpu, 1), two(Backend::kCpu, 2);
  const Answers expected = answers(&one);
  EXPECT_GT(std::ranges::count(expected.finish, FinishReason::kStop), 3) << "ends that are not known ahead";
  for (int round = 0; round < 3; ++round) {
    const Answers got = answers(&two);
    EXPECT_EQ(got.tokens, expected.tokens) << round;
    EXPECT_EQ(got.finish, expected.finish) << round;
  }
  EXPECT_GT(two.engine->stats().offload.num_loads, 0u);
}

TEST(RealRunner, CancellationsLeaveTheOthersAnswersAlone) {
  RealHarness one(Backend::kCpu, 1), two(Backend::kCpu, 2);
  const Answers expected = answers(&one);
  for (int round = 0; round < 3; ++round) {
    const Answers got = answers(&two, 2);
    for (std::size_t i = 0; i < got.tokens.size(); ++i) {
      std::vector<TokenId> known = expected.tokens[i];
      if (got.finish[i] == FinishReason::kAbort) known.resize(std::min(known.size(), got.tokens[i].size()));
      EXPECT_EQ(got.tokens[i], known) << i;
    }
  }
}

}  // namespace
}  // namespace pagoda
