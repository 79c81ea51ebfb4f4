#include "frontend/deadlines.h"

#include <algorithm>
#include <exception>

#include "base/log.h"
#include "base/memory_reserve.h"

namespace pagoda {
namespace {

bool is_later(const auto& a, const auto& b) {
  return a.first > b.first;
}

void expire(const std::weak_ptr<Expirable>& waiter) noexcept {
  UseOfReserve to_tell;
  try {
    if (std::shared_ptr<Expirable> alive = waiter.lock()) alive->expire();
  } catch (const std::exception& e) {
    log_error("A request whose time has run out could not be told: {}", e.what());
  }
}

}  // namespace

Deadlines::Deadlines() : thread_([this] { run(); }) {}

Deadlines::~Deadlines() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Deadlines::add(Time deadline, std::weak_ptr<Expirable> waiter) {
  bool is_first = false;
  {
    std::lock_guard lock(mutex_);
    if (entries_.size() > 64 + 2 * num_kept_) {  // most have ended before their time
      std::erase_if(entries_, [](const Entry& entry) { return entry.second.expired(); });
      std::make_heap(entries_.begin(), entries_.end(), is_later<Entry, Entry>);
      num_kept_ = entries_.size();
    }
    is_first = entries_.empty() || deadline < entries_.front().first;
    entries_.emplace_back(deadline, std::move(waiter));
    std::push_heap(entries_.begin(), entries_.end(), is_later<Entry, Entry>);
  }
  if (is_first) changed_.notify_all();
}

void Deadlines::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (entries_.empty()) {
      changed_.wait(lock);
      continue;
    }
    if (const Time first = entries_.front().first; std::chrono::steady_clock::now() < first) {
      changed_.wait_until(lock, first);
      continue;
    }
    std::pop_heap(entries_.begin(), entries_.end(), is_later<Entry, Entry>);
    std::weak_ptr<Expirable> waiter = std::move(entries_.back().second);
    entries_.pop_back();
    lock.unlock();
    expire(waiter);
    lock.lock();
  }
}

}  // namespace pagoda
