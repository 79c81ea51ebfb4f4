// The memory that the bodies of all requests may take at a time, from their first byte until their text has
// been understood. The beginning of each is free of charge, so that no number of large ones keeps the small
// ones out; how many of those there are is bounded by the number of connections. Internal to this room.
// Threads: any.
#pragma once
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

namespace pagoda {

class BodyBudget {
 public:
  static constexpr std::size_t kFreeBytes = 64 * 1024;

  // Before the first share is taken. `on_burst_over` is called on any thread when nothing is left of bodies
  // that took much.
  void configure(std::size_t bytes_max, std::function<void()> on_burst_over);
  std::size_t used() const { return used_; }

 private:
  friend class BodyShare;
  bool take(std::size_t bytes);
  void give_back(std::size_t bytes);

  std::size_t bytes_max_ = 0;
  std::function<void()> on_burst_over_;
  std::atomic<std::size_t> used_{0}, burst_{0};
};

// One body's part of it.
class BodyShare {
 public:
  explicit BodyShare(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
  ~BodyShare() { budget_->give_back(charged_); }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  // False: there is not so much.
  bool grow_to(std::size_t bytes);

 private:
  const std::shared_ptr<BodyBudget> budget_;
  std::size_t charged_ = 0;
};

}  // namespace pagoda
