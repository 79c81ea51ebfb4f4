// Carries events to their sinks on a thread of its own, so that the engine thread's share of it is one
// hand-over per step, however many streams there are. Events keep their order. Backlog is bounded by waiting:
// one batch is with the sinks, one may lie ready, and the engine thread waits with a third. Batches are
// swapped, so that in the long run nothing is allocated. Private to the engine room.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "contract/token_event.h"
#include "engine/engine.h"

namespace pagoda {

// What the engine keeps of a request until its last event.
struct ActiveRequest {
  std::shared_ptr<EventSink> sink;
  Engine::QueueTicket ticket;
  int32_t num_choices_left = 0;
};

class Publisher {
 public:
  struct Batch {
    std::vector<TokenEvent> events;
    std::vector<EventSink*> sinks;        // [events]
    std::vector<ActiveRequest> finished;  // released once the events are out
    void add(TokenEvent&& event, EventSink* sink) {
      events.push_back(std::move(event));
      sinks.push_back(sink);
    }
    void clear() noexcept {
      events.clear();
      sinks.clear();
      finished.clear();
    }
  };

  // `on_release` gets, on the publisher's thread, how many requests have been released.
  explicit Publisher(std::function<void(int64_t)> on_release);
  ~Publisher();  // delivers what there is
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Engine thread. Takes the batch and leaves an empty one. Requires: a sink lives until the batch that
  // releases its request.
  void hand_over(Batch* batch);

 private:
  void run();
  void deliver(Batch* batch);

  const std::function<void(int64_t)> on_release_;
  std::mutex mutex_;
  std::condition_variable filled_, taken_;
  Batch next_;                            // guarded
  bool full_ = false, stopping_ = false;  // guarded
  std::thread thread_;
};

}  // namespace pagoda
