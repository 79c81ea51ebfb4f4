// Where other threads leave arrivals, cancellations and commands for the engine thread. Arrivals are bounded
// by the tickets they carry. Private to the engine room.
#pragma once
#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "contract/request.h"
#include "contract/token_event.h"
#include "engine/engine.h"

namespace pagoda {

struct Arrival {
  std::unique_ptr<Request> request;
  Engine::QueueTicket ticket;
  std::shared_ptr<EventSink> sink;
};

// A request to cancel whole, or (choice >= 0) one of its choices that is complete.
struct Cancellation {
  RequestId id;
  int32_t choice;
};

struct Command {
  enum class Kind : uint8_t { kPause, kResume, kSleep, kWakeUp, kResetPrefixCache };
  Kind kind;
  Engine::Done done;
  PauseMode mode = PauseMode::kAbort;    // kPause
  bool clear_cache = false;              // kPause
  int level = 1;                         // kSleep
  bool weights = true, kv_cache = true;  // kWakeUp
};

class Inbox {
 public:
  // False, and the arrival untouched, once closed.
  bool push(Arrival&& arrival) {
    {
      std::lock_guard lock(mutex_);
      if (closed_) return false;
      arrivals_.push_back(std::move(arrival));
    }
    wake_.notify_one();
    return true;
  }
  void cancel(Cancellation cancellation) {
    {
      std::lock_guard lock(mutex_);
      if (finished_) return;
      cancellations_.push_back(cancellation);
    }
    wake_.notify_one();
  }
  // False, and the command untouched, once finished.
  bool command(Command&& command) {
    {
      std::lock_guard lock(mutex_);
      if (finished_) return false;
      commands_.push_back(std::move(command));
    }
    wake_.notify_one();
    return true;
  }
  // Something has come that the engine thread looks for by itself.
  void wake() {
    {
      std::lock_guard lock(mutex_);
      woken_ = true;
    }
    wake_.notify_one();
  }
  // No further arrivals.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  bool is_closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }
  // The engine thread is to end.
  void stop() {
    {
      std::lock_guard lock(mutex_);
      closed_ = stopping_ = true;
    }
    wake_.notify_one();
  }
  // Nothing is taken any more: cancellations are dropped.
  void finish() {
    std::lock_guard lock(mutex_);
    closed_ = finished_ = true;
  }

  // Engine thread. Puts what has come into those of the vectors that are empty, the cancellations last first;
  // false: stop() was called.
  bool take(std::vector<Arrival>* arrivals, std::vector<Cancellation>* cancellations,
            std::vector<Command>* commands) {
    std::lock_guard lock(mutex_);
    woken_ = false;
    if (arrivals->empty()) arrivals->swap(arrivals_);
    if (commands->empty()) commands->swap(commands_);
    if (cancellations->empty()) {
      cancellations->swap(cancellations_);
      std::reverse(cancellations->begin(), cancellations->end());
    }
    return !stopping_;
  }
  // Engine thread. Sleeps until something has come, at most until `time`.
  void wait_until(Time time) {
    std::unique_lock lock(mutex_);
    auto ready = [&] {
      return stopping_ || woken_ || !arrivals_.empty() || !cancellations_.empty() || !commands_.empty();
    };
    if (time == Time::max()) {
      wake_.wait(lock, ready);
    } else {
      wake_.wait_until(lock, time, ready);
    }
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Arrival> arrivals_;
  std::vector<Cancellation> cancellations_;
  std::vector<Command> commands_;
  bool woken_ = false, closed_ = false, stopping_ = false, finished_ = false;
};

}  // namespace pagoda
