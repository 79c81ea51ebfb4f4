// A whole small engine on a backend whose memory the host cannot touch: scheduler, prefix cache, offloading,
// forks, preemption and sampling give the answers that they give on the CPU.
#include "tests/testing/guarded_backend.h"

#include <gtest/gtest.h>

#include "base/mmap.h"
#include "base/rng.h"
#include "model/registry.h"
#include "runner/local_model_runner.h"
#include "tests/engine/engine_harness.h"
#include "tests/testing/tiny_model.h"

namespace pagoda {
namespace {

using testing::Backend;
using testing::EngineHarness;
using testing::Sink;

constexpr int32_t kBlockSize = 8, kNumBlocks = 48, kOffloadSlots = 40, kVocab = 96;

struct RealHarness : EngineHarness {
  explicit RealHarness(Backend backend) {
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
    const std::vector<KvGroupSpec> groups = kv_groups(spec.config, sizes.kv_dtype, kBlockSize);
    auto runner = LocalModelRunner::create(sizes, std::move(stream), std::move(decoder), {},
                                           {.num_slots = kOffloadSlots, .disk = nullptr});
    PrefixCacheConfig cache;
    cache.offload_slots = kOffloadSlots;
    engine = std::make_unique<Engine>(config, std::make_unique<KvManager>(groups, kNumBlocks, cache),
                                      std::move(*runner), &metrics);
  }
  testing::TempDir dir;
};

// The answers to many requests at once: few prompts with common beginnings, so that the cache is hit, more
// than it holds, so that blocks are offloaded and sequences preempted; choices fork.
std::vector<std::vector<TokenId>> answers(EngineHarness* harness) {
  SplitMix64 random(3);
  std::vector<std::shared_ptr<Sink>> sinks;
  std::vector<int> choices;
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
    choices.push_back(request->n);
    sinks.push_back(std::make_shared<Sink>());
    harness->submit(std::move(request), sinks.back());
  }
  std::vector<std::vector<TokenId>> tokens;
  for (std::size_t i = 0; i < sinks.size(); ++i) {
    EXPECT_TRUE(sinks[i]->wait_ended(choices[i]));
    for (int choice = 0; choice < choices[i]; ++choice) tokens.push_back(sinks[i]->tokens(choice));
  }
  return tokens;
}

TEST(GuardedBackend, AWholeEngineGivesTheSameAnswers) {
  RealHarness cpu(Backend::kCpu), guarded(Backend::kGuarded);
  EXPECT_EQ(answers(&guarded), answers(&cpu));
  EXPECT_GT(guarded.engine->stats().offload.num_loads, 0u);
}

}  // namespace
}  // namespace pagoda
