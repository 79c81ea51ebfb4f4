// A model of windows and full attention on the CPU: what a prefix hit replays gives the same bits as without
// a cache.
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "base/rng.h"
#include "kv/kv_manager.h"
#include "model/kv_groups.h"
#include "model/registry.h"
#include "runner/kv_storage.h"
#include "runner/local_model_runner.h"
#include "schedule/scheduler.h"
#include "tests/testing/guarded_backend.h"
#include "tests/testing/scheduler_config.h"
#include "tests/testing/tiny_model.h"
#include "weights/checkpoint.h"

namespace pagoda {
namespace {

constexpr int32_t kBlock = 4, kNumBlocks = 200, kWindow = 10;

std::vector<TokenId> some_ids(std::size_t count, uint64_t seed) {
  SplitMix64 random(seed);
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random.below(96));
  return ids;
}

// Windows in layers 0, 2 and 3 of 5.
class WindowedEngine {
 public:
  WindowedEngine(const std::string& folder, DType kv_dtype, int32_t step_tokens, bool enabled, bool replays) {
    ModelSpec spec = read_model_spec(read_file(folder + "/config.json").value(), "config.json").value();
    for (std::size_t layer : {0, 2, 3}) spec.config.layers[layer].attention.window = kWindow;
    assign_kv_groups(&spec.config);
    auto checkpoint = Checkpoint::open(folder).value();
    auto stream = testing::make_stream(testing::Backend::kCpu, 1);
    auto decoder = Decoder::load(spec, *checkpoint, {}, *stream).value();
    const std::vector<KvGroupSpec> groups = kv_groups(spec.config, kv_dtype, kBlock, stream->ops());
    PrefixCacheConfig cache{.enabled = enabled};
    if (replays) cache.replay_tokens = static_cast<int32_t>(replay_tokens(groups));
    kv_ = std::make_unique<KvManager>(groups, kNumBlocks, cache);
    runner_ = LocalModelRunner::create({.max_num_seqs = 8,
                                        .max_num_batched_tokens = step_tokens,
                                        .block_size = kBlock,
                                        .num_blocks = kNumBlocks,
                                        .kv_dtype = kv_dtype},
                                       std::move(stream), std::move(decoder))
                  .value();
    scheduler_ = std::make_unique<Scheduler>(
        testing::countable({.max_num_seqs = 8, .max_num_batched_tokens = step_tokens, .max_model_len = 200}),
        kv_.get());
  }

  void submit(const std::vector<TokenId>& prompt) {
    auto request = std::make_unique<Request>();
    request->id = next_id_++;
    request->prompt = std::vector<TokenId>(prompt);
    request->params.max_tokens = 6;
    request->params.temperature = 0;
    request->params.num_logprobs = 2;
    std::vector<TokenEvent> events;
    scheduler_->submit(std::move(request), Time{}, &events);
  }
  // Tokens, and the bits of their log-probabilities, of the next request to end.
  std::vector<std::pair<TokenId, float>> run() {
    std::vector<std::pair<TokenId, float>> out;
    std::vector<TokenEvent> events;
    StepResult result;
    while (scheduler_->has_work()) {
      const StepPlan& plan = scheduler_->plan(Time{}, &events);
      EXPECT_TRUE(runner_->launch(plan).ok());
      EXPECT_TRUE(runner_->wait(plan.step_id, &result).ok());
      for (const RowWork& work : plan.work) num_replayed_ += work.num_replayed_tokens;
      scheduler_->commit(plan, result, Time{}, &events);
    }
    for (const TokenEvent& event : events)
      for (std::size_t i = 0; i < event.out.token.size(); ++i)
        out.emplace_back(event.out.token[i], event.out.logprob[i]);
    return out;
  }
  int32_t num_replayed() const { return num_replayed_; }
  uint64_t num_hits() const { return scheduler_->stats().prefix_hits; }

 private:
  std::unique_ptr<KvManager> kv_;
  std::unique_ptr<ModelRunner> runner_;
  std::unique_ptr<Scheduler> scheduler_;
  RequestId next_id_ = 1;
  int32_t num_replayed_ = 0;
};

TEST(WindowReplay, AHitGivesTheSameBitsAsNoCache) {
  testing::TempDir dir;
  testing::write_tiny_model(testing::make_tiny_model({.layers = 5, .seed = 3}), dir.path());
  const std::vector<TokenId> first = some_ids(90, 1);
  std::vector<TokenId> second(first.begin(), first.begin() + 70);
  for (TokenId id : some_ids(20, 2)) second.push_back(id);
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kI8}) {
    WindowedEngine without(dir.path(), dtype, 64, false, false);
    without.submit(second);
    const auto expected = without.run();
    ASSERT_EQ(expected.size(), 6u);
    for (int32_t step_tokens : {200, 16, 7}) {
      for (bool replays : {false, true}) {
        WindowedEngine engine(dir.path(), dtype, step_tokens, true, replays);
        engine.submit(first);
        (void)engine.run();
        engine.submit(second);
        EXPECT_EQ(engine.run(), expected) << dtype_name(dtype) << " " << step_tokens << " " << replays;
        constexpr int32_t kReplay = 3 * (kWindow - 1), kHit = 68;  // of 70 tokens, whole blocks
        EXPECT_EQ(engine.num_hits(),
                  static_cast<uint64_t>(replays ? (kHit - kReplay) / kBlock * kBlock : kHit));
        EXPECT_EQ(engine.num_replayed(), replays ? kHit - (kHit - kReplay) / kBlock * kBlock : 0);
      }
    }
  }
}

}  // namespace
}  // namespace pagoda
