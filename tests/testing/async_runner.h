// A runner whose steps run on a thread of their own, as a device's do: launch() returns at once and results
// come late. For tests of the engine.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "runner/model_runner.h"

namespace pagoda::testing {

class AsyncRunner : public ModelRunner {
 public:
  explicit AsyncRunner(std::unique_ptr<ModelRunner> inner)
      : inner_(std::move(inner)), thread_([this] { run(); }) {}
  ~AsyncRunner() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  Status launch(const StepPlan& plan) override {
    if (on_launch) PAGODA_RETURN_IF_ERROR(on_launch(plan));
    std::lock_guard lock(mutex_);
    EXPECT_LT(steps_.size(), 2u) << "a third plan in flight";
    steps_.push_back({.plan = &plan});
    max_seen_ = std::max(max_seen_, steps_.size());
    changed_.notify_all();
    return {};
  }
  Status wait(uint64_t step_id, StepResult* result) override {
    std::unique_lock lock(mutex_);
    EXPECT_FALSE(steps_.empty());
    EXPECT_EQ(steps_.front().step_id, step_id) << "plans are waited for in their order";
    changed_.wait(lock, [&] { return steps_.front().is_done; });
    *result = std::move(steps_.front().result);
    Status done = std::move(steps_.front().status);
    steps_.pop_front();
    return done;
  }
  int32_t vocab_size() const override { return inner_->vocab_size(); }
  int32_t max_in_flight() const override { return depth; }
  Status sleep(int level) override {
    EXPECT_EQ(num_in_flight(), 0u) << "asleep over a step";
    return inner_->sleep(level);
  }
  Status wake() override { return inner_->wake(); }
  bool is_sleeping() const override { return inner_->is_sleeping(); }

  // Called by launch(), on the engine's thread; an error is the launch's.
  std::function<Status(const StepPlan&)> on_launch;
  int32_t depth = 2;
  std::size_t num_in_flight() const {
    std::lock_guard lock(mutex_);
    return steps_.size();
  }
  // The most plans that have been in flight at once.
  std::size_t max_seen() const {
    std::lock_guard lock(mutex_);
    return max_seen_;
  }

 private:
  struct Step {
    const StepPlan* plan;
    uint64_t step_id = plan->step_id;
    bool is_done = false;
    Status status;
    StepResult result;
  };
  // The next step in order runs, also while the runner is being destroyed.
  void run() {
    Status failure;  // sticky
    std::unique_lock lock(mutex_);
    for (;;) {
      Step* next = nullptr;
      changed_.wait(lock, [&] {
        for (Step& step : steps_)
          if (next == nullptr && !step.is_done) next = &step;
        return stopping_ || next != nullptr;
      });
      if (next == nullptr) return;
      lock.unlock();
      StepResult result;
      Status status = failure;
      if (status.ok()) status = inner_->launch(*next->plan);
      if (status.ok()) status = inner_->wait(next->step_id, &result);
      failure = status;
      lock.lock();
      next->status = std::move(status);
      next->result = std::move(result);
      next->is_done = true;
      changed_.notify_all();
    }
  }

  const std::unique_ptr<ModelRunner> inner_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Step> steps_;  // in flight; guarded, but for what the first that is not done is made of
  std::size_t max_seen_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pagoda::testing
