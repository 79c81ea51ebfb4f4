// Carries events to their sinks on a thread of its own, so that the engine thread's share of it is one
// hand-over per step, however many streams there are. Events keep their order. Backlog is bounded by waiting:
// one batch is with the sinks, one may lie ready, and whoever brings a third waits. Batches are swapped, so
// that in the long run nothing is allocated. Private to the engine room.
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

// What the engine keeps of a request while it is inside.
struct Guest {
  std::shared_ptr<EventSink> sink;
  Engine::Slot slot;
};

class Publisher {
 public:
  struct Batch {
    std::vector<TokenEvent> events;
    std::vector<EventSink*> sinks;  // [events]
    std::vector<Guest> gone;        // let go of once the events are out
    void add(TokenEvent&& event, EventSink* sink) {
      events.push_back(std::move(event));
      sinks.push_back(sink);
    }
    void clear() noexcept {
      events.clear();
      sinks.clear();
      gone.clear();
    }
  };

  // `on_gone` is told, on the publisher's thread, how many have gone.
  explicit Publisher(std::function<void(int64_t)> on_gone);
  ~Publisher();  // delivers what there is
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Engine thread. Takes the batch and leaves an empty one. Requires: a sink lives until the batch that lets
  // its guest go.
  void hand_over(Batch* batch);

 private:
  void run();
  void deliver(Batch* batch);

  const std::function<void(int64_t)> on_gone_;
  std::mutex mutex_;
  std::condition_variable filled_, taken_;
  Batch next_;                            // guarded
  bool full_ = false, stopping_ = false;  // guarded
  std::thread thread_;
};

}  // namespace pagoda
