// The whole loop with a cache that is too small and offloading to a slow disk that fails at times.
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "base/rng.h"
#include "tests/engine/engine_harness.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

using testing::EngineHarness;
using testing::FakeRunner;
using testing::Sink;

constexpr int32_t kBlockSize = 4, kNumBlocks = 24;

struct OffloadHarness : EngineHarness {
  FakeRunner* runner = nullptr;
  void start_with_offload(int32_t slots, int64_t disk_slots, const testing::FakeOffloadConfig& offload) {
    const std::vector<KvGroupSpec> groups = {testing::full_group(kBlockSize, 100)};
    PrefixCacheConfig cache;
    cache.offload_slots = slots;
    cache.offload_disk_slots = disk_slots;
    auto fake = std::make_unique<FakeRunner>(model, groups, kNumBlocks, config.scheduler.max_num_seqs);
    fake->add_offload(offload);
    fake->on_wait = on_wait;
    runner = fake.get();
    engine = std::make_unique<Engine>(config, std::make_unique<KvManager>(groups, kNumBlocks, cache),
                                      std::move(fake), &metrics);
  }
  void ask(const std::vector<TokenId>& prompt, int32_t max_tokens) {
    auto sink = std::make_shared<Sink>();
    submit(request(prompt, max_tokens), sink);
    ASSERT_TRUE(sink->wait_ended(1));
    EXPECT_EQ(sink->tokens(), expected(prompt, max_tokens));
  }
};

std::vector<TokenId> prompt(uint64_t topic, int32_t size) {
  std::vector<TokenId> tokens;
  SplitMix64 random(topic);
  for (int32_t i = 0; i < size; ++i) tokens.push_back(static_cast<TokenId>(random.next() % 50));
  return tokens;
}

TEST(Offload, AnswersAreTheSameWhateverTheDiskDoes) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    OffloadHarness harness;
    const auto slots = static_cast<int32_t>(4 + seed * 5);
    harness.start_with_offload(
        slots, seed % 2 == 0 ? 0 : 60,
        {.num_slots = slots, .end_one_in = 2 + seed, .fail_one_in = seed % 3 * 4, .seed = seed});
    std::vector<std::thread> clients;
    for (uint64_t client = 0; client < 6; ++client)
      clients.emplace_back([&harness, client, seed] {
        SplitMix64 random(seed * 100 + client);
        for (int i = 0; i < 40; ++i)
          harness.ask(prompt(random.next() % 8, static_cast<int32_t>(10 + random.next() % 40)),
                      static_cast<int32_t>(1 + random.next() % 8));
      });
    for (std::thread& client : clients) client.join();
    EXPECT_TRUE(harness.all_slots_come_back());
    EXPECT_GT(harness.engine->stats().offload.num_loads, 0u) << seed;
    EXPECT_EQ(harness.engine->stats().offload.num_fetches > 0, seed % 2 == 1) << seed;
  }
}

// A disk that reads nothing until it is let go on, and what the engine does meanwhile.
struct SlowDiskHarness : OffloadHarness {
  static constexpr int32_t kPromptSize = 50;
  std::atomic<int> num_steps = 0;

  // Topic 0's blocks are on disk alone, and requests for them wait.
  SlowDiskHarness() {
    on_wait = [this](const StepPlan&) {
      ++num_steps;
      return Status();
    };
    start_with_offload(30, 200, {.num_slots = 30, .end_one_in = 1});
    for (uint64_t topic = 0; topic < 8; ++topic) ask(prompt(topic, kPromptSize), 1);
    // What is on its way to the disk can not be fetched from there yet.
    EXPECT_TRUE(reaches([&] { return engine->stats().offload.num_under_way == 0; }));
    runner->disk_stands = true;
  }
  ~SlowDiskHarness() { engine.reset(); }
  bool reaches(const std::function<bool()>& state) const {
    const Time end = std::chrono::steady_clock::now() + testing::kPatience;
    while (!state() && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return state();
  }
  // A request that waits for the disk from here on.
  RequestId submit_waiting(int32_t max_tokens, std::shared_ptr<Sink> sink) {
    const int32_t before = engine->stats().num_deferred;
    const RequestId id = submit(request(prompt(0, kPromptSize), max_tokens), std::move(sink));
    EXPECT_TRUE(reaches([&] { return engine->stats().num_deferred == before + 1; }));
    return id;
  }
  void let_go_on() const {
    runner->disk_stands = false;
    runner->wake();
  }
};

// Nothing but the end of the read wakes the engine for it: no step is made, and no thread asks again.
TEST(Offload, OthersComeAndGoWhileTheDiskReads) {
  SlowDiskHarness harness;
  auto waits = std::make_shared<Sink>(), leaves = std::make_shared<Sink>();
  harness.submit_waiting(3, waits);
  const RequestId id = harness.submit_waiting(3, leaves);
  const int steps = harness.num_steps;
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  EXPECT_EQ(harness.num_steps, steps) << "a step that only waits";
  EXPECT_EQ(harness.engine->stalled_s(), 0) << "the disk is no stall of the engine";
  harness.engine->cancel(id);
  ASSERT_TRUE(leaves->wait_ended(1));
  EXPECT_EQ(leaves->finish(), FinishReason::kAbort);
  EXPECT_EQ(harness.num_steps, steps);
  harness.ask(prompt(99, 20), 3);
  EXPECT_EQ(waits->num_events(), 0);
  harness.let_go_on();
  ASSERT_TRUE(waits->wait_ended(1));
  EXPECT_EQ(waits->tokens(), harness.expected(prompt(0, 50), 3));
  EXPECT_GT(harness.engine->stats().offload.disk_hit_tokens, 0u);
  EXPECT_TRUE(harness.all_slots_come_back());
}

TEST(Offload, ADrainWaitsForTheDisk) {
  SlowDiskHarness harness;
  auto sink = std::make_shared<Sink>();
  harness.submit_waiting(2, sink);
  EXPECT_FALSE(harness.engine->drain(0.05));
  harness.let_go_on();
  EXPECT_TRUE(harness.engine->drain(60));
  EXPECT_EQ(sink->tokens(), harness.expected(prompt(0, 50), 2));
}

TEST(Offload, AClearedCacheIsNotWaitedFor) {
  SlowDiskHarness harness;
  auto sink = std::make_shared<Sink>();
  harness.submit_waiting(2, sink);
  harness.engine->reset_prefix_cache([](const Status& status) { EXPECT_TRUE(status.ok()); });
  harness.let_go_on();
  ASSERT_TRUE(sink->wait_ended(1));
  EXPECT_EQ(sink->tokens(), harness.expected(prompt(0, 50), 2));
  EXPECT_EQ(harness.engine->stats().offload.disk_hit_tokens, 0u);
}

// With a read that never ends, and one sequence that waits for it.
TEST(Offload, ShutdownSpillsWhatIsCached) {
  SlowDiskHarness harness;
  auto sink = std::make_shared<Sink>();
  harness.submit_waiting(2, sink);
  std::vector<OffloadMove> last;
  harness.runner->on_wait = [&](const StepPlan& plan) {
    last = plan.moves;
    return Status();
  };
  const OffloadStats before = harness.engine->stats().offload;
  harness.engine.reset();
  EXPECT_EQ(sink->finish(), FinishReason::kAbort);
  const auto num_spills = std::ranges::count(last, OffloadMoveKind::kSpill, &OffloadMove::kind);
  EXPECT_GT(num_spills, 0);
  EXPECT_EQ(std::ranges::count(last, OffloadMoveKind::kStore, &OffloadMove::kind), num_spills);
  EXPECT_GT(before.num_used_disk_slots, 0);
}

TEST(Offload, WhoLeavesWhileFetchingLeaves) {
  OffloadHarness harness;
  harness.start_with_offload(30, 200, {.num_slots = 30, .end_one_in = 50});
  for (uint64_t topic = 0; topic < 8; ++topic) harness.ask(prompt(topic, 50), 1);
  for (uint64_t topic = 0; topic < 8; ++topic) {
    auto sink = std::make_shared<Sink>();
    const RequestId id = harness.submit(harness.request(prompt(topic, 50), 1000), sink);
    harness.engine->cancel(id);
    EXPECT_TRUE(sink->wait_ended(1));
  }
  EXPECT_TRUE(harness.all_slots_come_back());
  harness.ask(prompt(3, 50), 2);
}

TEST(Offload, AnIdleEngineComesToRest) {
  std::atomic<int> num_steps = 0;
  OffloadHarness harness;
  harness.on_wait = [&](const StepPlan&) {
    ++num_steps;
    return Status();
  };
  harness.start_with_offload(30, 200, {.num_slots = 30, .end_one_in = 100});
  for (uint64_t topic = 0; topic < 4; ++topic) harness.ask(prompt(topic, 50), 1);
  // What is under way ends, and then there are no steps any more.
  const Time end = std::chrono::steady_clock::now() + testing::kPatience;
  int before = -1, quiet = 0;
  while (quiet < 5 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    quiet = num_steps == before ? quiet + 1 : 0;
    before = num_steps;
  }
  EXPECT_EQ(quiet, 5);
  EXPECT_EQ(harness.engine->stats().offload.num_under_way, 0);
  EXPECT_GT(harness.engine->stats().offload.num_used_disk_slots, 0);
}

}  // namespace
}  // namespace pagoda
