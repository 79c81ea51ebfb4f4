#include "engine/publisher.h"

#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"

namespace pagoda {

Publisher::Publisher(std::function<void(int64_t)> on_release)
    : on_release_(std::move(on_release)), thread_([this] { run(); }) {}

Publisher::~Publisher() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_one();
  thread_.join();
}

void Publisher::hand_over(Batch* batch) {
  {
    std::unique_lock lock(mutex_);
    taken_.wait(lock, [this] { return !full_; });
    std::swap(*batch, next_);
    full_ = true;
  }
  filled_.notify_one();
}

void Publisher::run() {
  let_this_thread_use_the_reserve();
  Batch batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      filled_.wait(lock, [this] { return full_ || stopping_; });
      if (!full_) return;
      std::swap(batch, next_);
      full_ = false;
    }
    taken_.notify_one();
    deliver(&batch);
  }
}

void Publisher::deliver(Batch* batch) {
  for (std::size_t i = 0; i < batch->events.size(); ++i) {
    try {
      const KeepOffReserve to_fail_alone;
      batch->sinks[i]->on_event(std::move(batch->events[i]));
    } catch (...) {
      log_error("an event was lost on its way to a request");
      batch->sinks[i]->on_lost();
    }
  }
  const auto num_released = static_cast<int64_t>(batch->finished.size());
  batch->clear();
  if (num_released > 0) on_release_(num_released);
}

}  // namespace pagoda
