// The memory that all requests may take at a time for what they bring: the text of a body, and the values
// that it becomes. What each takes at the beginning is free of charge, so that no number of large ones keeps
// the small ones out; how many of those there are is bounded by the number of connections. Threads: any; a
// share belongs to one at a time.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "base/status.h"

namespace pagoda {

class MemoryBudget {
 public:
  static constexpr std::size_t kFreeBytes = 64 * 1024;

  // Before the first share is taken. `on_burst_over` is called on any thread when nothing is left of requests
  // that took much.
  void configure(std::size_t bytes_max, std::function<void()> on_burst_over);
  std::size_t used() const { return used_; }

 private:
  friend class MemoryShare;
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes);

  std::size_t bytes_max_ = 0;
  std::function<void()> on_burst_over_;
  std::atomic<std::size_t> used_{0}, burst_{0};
};

// One request's part of it, from its body's first byte until nothing large is left of it.
class MemoryShare {
 public:
  explicit MemoryShare(std::shared_ptr<MemoryBudget> budget) : budget_(std::move(budget)) {}
  ~MemoryShare() { budget_->give_back(charged_); }
  MemoryShare(const MemoryShare&) = delete;
  MemoryShare& operator=(const MemoryShare&) = delete;
  // Is charged for so many bytes, unless it is for more. Errors: kExhausted, there is not so much now;
  // kTooLarge, there never is.
  Status grow_to(std::size_t bytes);
  // Is charged for so many bytes, be it fewer.
  Status hold(std::size_t bytes);

 private:
  const std::shared_ptr<MemoryBudget> budget_;
  std::size_t charged_ = 0;
};

}  // namespace pagoda
