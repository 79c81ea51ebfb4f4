// From the cache's bookkeeping to the sink of events and to the metrics.
#include "engine/kv_telemetry.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <numeric>

#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

constexpr int32_t kBlockSize = 4;

// A sequence of one full block and a token more, begun and ended.
void serve(KvManager* kv, TokenId first) {
  std::vector<TokenId> tokens(kBlockSize + 1);
  std::iota(tokens.begin(), tokens.end(), first);
  SeqKv seq;
  const int32_t found = kv->match(&seq, tokens, {});
  ASSERT_TRUE(kv->reserve(&seq, found, kBlockSize + 1));
  kv->cache_blocks(&seq, tokens, 0, kBlockSize + 1, {});
  kv->release(&seq);
}

struct Recorder : KvEventSink {
  explicit Recorder(std::vector<std::vector<KvEvent>>* list) : batches(list) {}
  void publish(std::vector<KvEvent>&& events) override { batches->push_back(std::move(events)); }
  std::vector<std::vector<KvEvent>>* const batches;
};

TEST(KvTelemetry, CarriesEventsAndLives) {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64, {.block_residency = true}};
  KvManager kv({testing::full_group(kBlockSize)}, 4, {.record_events = true, .residency_sample = 1});
  std::vector<std::vector<KvEvent>> batches;
  KvTelemetry telemetry(&kv, &metrics, std::make_unique<Recorder>(&batches));
  telemetry.flush();
  EXPECT_TRUE(batches.empty()) << "nothing has happened: no batch";
  for (int i = 0; i < 4; ++i) {
    kv.begin_step(Time{std::chrono::seconds(100 + i)});
    serve(&kv, 100 * (i + 1));
    telemetry.flush();
  }
  kv.reset_prefix_cache();
  telemetry.flush();
  telemetry.flush();
  ASSERT_EQ(batches.size(), 5u);
  std::size_t num_events = 0;
  for (const std::vector<KvEvent>& batch : batches) num_events += batch.size();
  // Four stored, one cleared, and one removed for each life that has ended.
  EXPECT_EQ(num_events, 5 + static_cast<std::size_t>(metrics.block_residency->lifetime.count()));
  EXPECT_EQ(batches.front().front().kind, KvEvent::Kind::kStored);
  EXPECT_EQ(batches.back().back().kind, KvEvent::Kind::kCleared);
  EXPECT_GT(metrics.block_residency->lifetime.count(), 0u);
  EXPECT_EQ(metrics.block_residency->idle_before_evict.count(), metrics.block_residency->lifetime.count());
}

TEST(KvTelemetry, SaysNothingToNobody) {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64};
  KvManager kv({testing::full_group(kBlockSize)}, 4, {});
  KvTelemetry telemetry(&kv, &metrics, nullptr);
  serve(&kv, 1);
  telemetry.flush();
  EXPECT_EQ(kv.num_cached(), 1);
}

}  // namespace
}  // namespace pagoda
