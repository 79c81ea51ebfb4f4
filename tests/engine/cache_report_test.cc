// From the cache's books to a router and to the metrics.
#include "engine/cache_report.h"

#include <gtest/gtest.h>
#include <zmq.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "tests/engine/msgpack_value.h"
#include "tests/testing/kv_specs.h"

namespace pagoda {
namespace {

using testing::parse_msgpack;

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

// The types of all events that are kept for replay, in order.
std::vector<std::string> replayed_types(const std::string& endpoint) {
  void* context = zmq_ctx_new();
  void* socket = zmq_socket(context, ZMQ_DEALER);
  const int patience_ms = 10'000, linger = 0;
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
  zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  EXPECT_EQ(zmq_connect(socket, endpoint.c_str()), 0);
  const std::string from_the_first(8, '\0');
  zmq_send(socket, "", 0, ZMQ_SNDMORE);
  zmq_send(socket, from_the_first.data(), from_the_first.size(), 0);
  std::vector<std::string> types;
  char frame[4096];
  for (;;) {
    int size = 0;
    for (int i = 0; i < 3 && size >= 0; ++i) size = zmq_recv(socket, frame, sizeof frame, 0);
    if (size <= 0) break;  // the end, or nobody answers
    const Value batch = parse_msgpack(std::string(frame, static_cast<std::size_t>(size)));
    for (const Value& event : batch.as_array()[1].as_array())
      types.push_back(event.find("type")->as_string());
  }
  zmq_close(socket);
  zmq_ctx_term(context);
  return types;
}

TEST(CacheReport, CarriesEventsAndLives) {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64, {.block_lives = true, .kv_events = true}};
  KvManager kv({testing::full_group(kBlockSize)}, 4, {.record_events = true, .lifetime_sample = 1});
  auto publisher = KvEventPublisher::open(
      {.enabled = true, .endpoint = "tcp://127.0.0.1:*", .replay_endpoint = "tcp://127.0.0.1:*"}, {},
      *metrics.kv_events);
  ASSERT_TRUE(publisher.ok());
  const std::string endpoint = (*publisher)->replay_endpoint();
  CacheReport report(&kv, &metrics, *std::move(publisher));
  report.tell();  // nothing has happened: no batch
  for (int i = 0; i < 4; ++i) {
    kv.begin_step(Time{std::chrono::seconds(100 + i)});
    serve(&kv, 100 * (i + 1));
    report.tell();
  }
  kv.reset_prefix_cache();
  report.tell();
  report.tell();
  while (metrics.kv_events->published.value() < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const std::vector<std::string> types = replayed_types(endpoint);
  // Four stored, one cleared, and one removed for each life that has ended.
  ASSERT_EQ(types.size(), 5 + static_cast<std::size_t>(metrics.block_lives->lifetime.count()));
  EXPECT_EQ(types.front(), "BlockStored");
  EXPECT_EQ(types.back(), "AllBlocksCleared");
  EXPECT_GT(metrics.block_lives->lifetime.count(), 0u);
  EXPECT_EQ(metrics.block_lives->idle_before_evict.count(), metrics.block_lives->lifetime.count());
  EXPECT_EQ(metrics.kv_events->published.value(), 5);
}

TEST(CacheReport, SaysNothingToNobody) {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64};
  KvManager kv({testing::full_group(kBlockSize)}, 4, {});
  CacheReport report(&kv, &metrics, nullptr);
  serve(&kv, 1);
  report.tell();
  EXPECT_EQ(kv.num_cached(), 1);
}

}  // namespace
}  // namespace pagoda
