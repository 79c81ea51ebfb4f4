// Publishes over ZeroMQ, for routers, which blocks the prefix cache holds, in vLLM's protocol. A PUB socket
// sends each step's events as [topic, sequence number (8 bytes, big-endian), msgpack] (kv_event_wire.h); a
// subscriber that has missed some asks a ROUTER socket with [empty, first sequence number] and gets [empty,
// number, msgpack] for each batch that is still kept, and [empty, -1, empty] at the end. Events name tokens
// of prompts: the endpoints belong on a network that only routers see. The engine hands events over without
// waiting: the publisher's own thread encodes and sends. A batch that finds the queue full pushes the oldest
// out, which subscribers see as a gap in the numbers.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "contract/kv_event.h"
#include "kv_events/kv_event_wire.h"
#include "kv_events/kv_events_config.h"
#include "metrics/catalog.h"

namespace pagoda {

class KvEventPublisher : public KvEventSink {
 public:
  // Opens the sockets and starts the thread. Error kInvalidArgument names the endpoint that cannot be had.
  // `metrics` outlives the publisher.
  static Result<std::unique_ptr<KvEventPublisher>> open(const KvEventsConfig& config,
                                                        const KvEventFormat& format, KvEventMetrics metrics);
  // Sends what waits, then ends.
  ~KvEventPublisher() override;
  KvEventPublisher(const KvEventPublisher&) = delete;
  KvEventPublisher& operator=(const KvEventPublisher&) = delete;

  // Numbers the batches from 0.
  void publish(std::vector<KvEvent>&& events) override;

  // As bound: with the port that the system chose for `tcp://127.0.0.1:*`.
  const std::string& endpoint() const;
  const std::string& replay_endpoint() const;

 private:
  struct Impl;
  explicit KvEventPublisher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
