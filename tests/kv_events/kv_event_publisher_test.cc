#include "kv_events/kv_event_publisher.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zmq.h>

#include <chrono>
#include <thread>

#include "tests/kv_events/msgpack_value.h"

namespace pagoda {
namespace {

using testing::parse_msgpack;

constexpr int kPatienceMs = 10'000;

uint64_t from_big_endian(const std::string& bytes) {
  EXPECT_EQ(bytes.size(), 8u);
  uint64_t number = 0;
  for (char byte : bytes) number = number << 8 | static_cast<uint8_t>(byte);
  return number;
}

std::string to_big_endian(uint64_t number) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (56 - 8 * i));
  return bytes;
}

// A subscriber or an asker, as routers have them.
class Peer {
 public:
  Peer(int type, const std::string& endpoint, const std::string& topic = "") {
    context_ = zmq_ctx_new();
    socket_ = zmq_socket(context_, type);
    const int patience = kPatienceMs, linger = 0;
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt(socket_, ZMQ_LINGER, &linger, sizeof linger);
    if (type == ZMQ_SUB) zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, topic.data(), topic.size());
    EXPECT_EQ(zmq_connect(socket_, endpoint.c_str()), 0) << endpoint;
  }
  ~Peer() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  void send(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i)
      zmq_send(socket_, frames[i].data(), frames[i].size(), i + 1 < frames.size() ? ZMQ_SNDMORE : 0);
  }
  // The frames of the next message; empty when none comes in time.
  std::vector<std::string> receive(int patience_ms = kPatienceMs) {
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &patience_ms, sizeof patience_ms);
    std::vector<std::string> frames;
    for (int more = 1; more != 0;) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      if (zmq_msg_recv(&message, socket_, 0) < 0) return {};
      frames.emplace_back(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
      more = zmq_msg_more(&message);
      zmq_msg_close(&message);
    }
    return frames;
  }

 private:
  void *context_, *socket_;
};

struct Fixture {
  MetricsRegistry registry;
  EngineMetrics metrics{&registry, "m", 64, {.kv_events = true}};
  KvEventsConfig config{
      .enabled = true, .endpoint = "tcp://127.0.0.1:*", .replay_endpoint = "tcp://127.0.0.1:*"};
  std::unique_ptr<KvEventPublisher> open() {
    auto publisher = KvEventPublisher::open(config, {}, *metrics.kv_events);
    EXPECT_TRUE(publisher.ok()) << publisher.status().message();
    return publisher.ok() ? *std::move(publisher) : nullptr;
  }
};

std::vector<KvEvent> removal_of(uint8_t last_byte) {
  KvEvent event{KvEvent::Kind::kRemoved};
  event.keys.emplace_back().bytes[31] = last_byte;
  return {event};
}
int64_t removed_hash(const std::string& payload) {
  const Value batch = parse_msgpack(payload);
  return batch.as_array()[1].as_array()[0].find("block_hashes")->as_array()[0].as_int();
}

// A subscription takes a moment to reach the publisher; what is sent before is missed, and replayed.
void await_subscription(KvEventPublisher* publisher, Peer* subscriber, uint64_t* num_published) {
  for (int i = 0; i < 200; ++i) {
    publisher->publish(removal_of(0));
    ++*num_published;
    auto frames = subscriber->receive(50);
    if (frames.empty()) continue;
    uint64_t seen = from_big_endian(frames[1]);
    while (seen + 1 < *num_published) seen = from_big_endian(subscriber->receive().at(1));
    return;
  }
  FAIL() << "the subscription never arrives";
}

TEST(KvEventPublisher, SubscribersGetNumberedBatchesInOrder) {
  Fixture f;
  f.config.topic = "kv@10.0.0.1@model";
  auto publisher = f.open();
  Peer subscriber(ZMQ_SUB, publisher->endpoint(), "kv@");
  uint64_t published = 0;
  await_subscription(publisher.get(), &subscriber, &published);
  KvEvent stored{KvEvent::Kind::kStored, {BlockKey{}}, {}, {1, 2}, 2, 0};
  publisher->publish({stored, removal_of(1)[0]});
  publisher->publish({KvEvent{KvEvent::Kind::kCleared}});
  const std::vector<std::vector<std::string>> wanted = {{"BlockStored", "BlockRemoved"},
                                                        {"AllBlocksCleared"}};
  double last_time = 0;
  for (const auto& types : wanted) {
    auto frames = subscriber.receive();
    ASSERT_EQ(frames.size(), 3u);
    EXPECT_EQ(frames[0], f.config.topic);
    EXPECT_EQ(from_big_endian(frames[1]), published++);
    const Value batch = parse_msgpack(frames[2]);
    const Array& events = batch.as_array()[1].as_array();
    ASSERT_EQ(events.size(), types.size());
    for (std::size_t i = 0; i < types.size(); ++i) EXPECT_EQ(events[i].find("type")->as_string(), types[i]);
    EXPECT_GT(batch.as_array()[0].as_double(), 1.6e9);  // seconds since 1970
    EXPECT_GE(batch.as_array()[0].as_double(), last_time);
    last_time = batch.as_array()[0].as_double();
  }
  EXPECT_EQ(f.metrics.kv_events->dropped.value(), 0);
}

TEST(KvEventPublisher, ReplaysWhatIsKeptFromANumberOn) {
  Fixture f;
  f.config.buffer_steps = 4;
  auto publisher = f.open();
  for (uint8_t i = 0; i < 6; ++i) publisher->publish(removal_of(i));
  Peer asker(ZMQ_DEALER, publisher->replay_endpoint());
  struct Case {
    uint64_t first;
    std::vector<uint64_t> wanted;
  };
  while (f.metrics.kv_events->published.value() < 6)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::vector<Case> cases = {{4, {4, 5}}, {0, {2, 3, 4, 5}}, {6, {}}};
  // Replay after replay: each is whole, also right behind another.
  for (int i = 0; i < 200; ++i) cases.push_back({0, {2, 3, 4, 5}});
  for (const Case& c : cases) {
    asker.send({"", to_big_endian(c.first)});
    for (uint64_t number : c.wanted) {
      auto frames = asker.receive();
      ASSERT_EQ(frames.size(), 3u);
      EXPECT_EQ(from_big_endian(frames[1]), number);
      EXPECT_EQ(removed_hash(frames[2]), static_cast<int64_t>(number));
    }
    auto end = asker.receive();
    ASSERT_EQ(end.size(), 3u);
    EXPECT_EQ(from_big_endian(end[1]), static_cast<uint64_t>(-1));
    EXPECT_TRUE(end[2].empty());
  }
  EXPECT_EQ(f.metrics.kv_events->replayed.value(), 6 + 200 * 4);
}

TEST(KvEventPublisher, MalformedRequestsHarmNobody) {
  Fixture f;
  auto publisher = f.open();
  publisher->publish(removal_of(7));
  Peer asker(ZMQ_DEALER, publisher->replay_endpoint());
  asker.send({"no delimiter"});
  asker.send({"", "short"});
  asker.send({"", to_big_endian(0), "and more", "and more"});
  asker.send({"", std::string(100, 'x')});
  {
    Peer huge(ZMQ_DEALER, publisher->replay_endpoint());
    huge.send({"", std::string(1 << 20, 'x')});
    EXPECT_TRUE(huge.receive(100).empty());
  }
  while (f.metrics.kv_events->published.value() < 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  asker.send({"", to_big_endian(0)});
  auto frames = asker.receive();
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(removed_hash(frames[2]), 7);
}

// A queue that is full loses its oldest batches, counts them, and shows a gap in the numbers.
TEST(KvEventPublisher, AFullQueueDropsTheOldestAndCounts) {
  Fixture f;
  f.config.max_queue_size = 1;
  auto publisher = f.open();
  constexpr uint64_t kMany = 20'000;  // the thread cannot take each of them alone
  for (uint64_t i = 0; i < kMany; ++i) publisher->publish(removal_of(static_cast<uint8_t>(i)));
  const KvEventMetrics& metrics = *f.metrics.kv_events;
  for (int i = 0; i < kPatienceMs && metrics.published.value() + metrics.dropped.value() < kMany; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(metrics.published.value() + metrics.dropped.value(), kMany);
  EXPECT_GT(metrics.dropped.value(), 0);
  Peer asker(ZMQ_DEALER, publisher->replay_endpoint());
  asker.send({"", to_big_endian(kMany - 1)});  // the newest is never dropped
  EXPECT_EQ(from_big_endian(asker.receive().at(1)), kMany - 1);
}

TEST(KvEventPublisher, SendsWhatWaitsBeforeItEnds) {
  Fixture f;
  auto publisher = f.open();
  Peer subscriber(ZMQ_SUB, publisher->endpoint());
  uint64_t published = 0;
  await_subscription(publisher.get(), &subscriber, &published);
  for (uint8_t i = 0; i < 50; ++i) publisher->publish(removal_of(i));
  publisher.reset();
  for (uint8_t i = 0; i < 50; ++i) EXPECT_EQ(removed_hash(subscriber.receive().at(2)), i);
}

TEST(KvEventPublisher, NamesAnEndpointThatCannotBeHad) {
  Fixture f;
  auto first = f.open();
  f.config.replay_endpoint = first->replay_endpoint();  // taken
  auto second = KvEventPublisher::open(f.config, {}, *f.metrics.kv_events);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.status().message().find(first->replay_endpoint()), std::string::npos)
      << second.status().message();
  EXPECT_NE(second.status().message().find("--kv-events-config"), std::string::npos);
  f.config.endpoint = "carrier-pigeon://roof*";
  EXPECT_FALSE(KvEventPublisher::open(f.config, {}, *f.metrics.kv_events).ok());
}

// A single address is connected to: many servers then feed one subscriber that listens.
TEST(KvEventPublisher, ConnectsToASingleAddress) {
  Fixture f;
  f.config.replay_endpoint.clear();
  void* context = zmq_ctx_new();
  void* listener = zmq_socket(context, ZMQ_SUB);
  const int patience = 50, linger = 0;
  zmq_setsockopt(listener, ZMQ_RCVTIMEO, &patience, sizeof patience);
  zmq_setsockopt(listener, ZMQ_LINGER, &linger, sizeof linger);
  zmq_setsockopt(listener, ZMQ_SUBSCRIBE, "", 0);
  ASSERT_EQ(zmq_bind(listener, "tcp://127.0.0.1:*"), 0);
  char name[256];
  std::size_t size = sizeof name;
  ASSERT_EQ(zmq_getsockopt(listener, ZMQ_LAST_ENDPOINT, name, &size), 0);
  f.config.endpoint = name;
  {
    auto publisher = f.open();
    ASSERT_NE(publisher, nullptr);
    EXPECT_EQ(publisher->endpoint(), name);
    char byte;
    int received = -1;
    for (int i = 0; i < 200 && received < 0; ++i) {
      publisher->publish(removal_of(1));
      received = zmq_recv(listener, &byte, 1, 0);
    }
    EXPECT_EQ(received, 0);  // the empty topic
  }
  zmq_close(listener);
  zmq_ctx_term(context);
}

}  // namespace
}  // namespace pagoda
