#include "engine/publisher.h"

#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"

namespace pagoda {

Publisher::Publisher(std::function<void(int64_t)> on_gone)
    : on_gone_(std::move(on_gone)), thread_([this] { run(); }) {}

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
  const auto num_gone = static_cast<int64_t>(batch->gone.size());
  batch->clear();
  if (num_gone > 0) on_gone_(num_gone);
}

}  // namespace pagoda
