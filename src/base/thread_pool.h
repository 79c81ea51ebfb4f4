// Two pools. ComputePool: the CPU backend's workers, one job at a time, split by index, no allocation, spin
// then park. TaskPool: a few threads that run queued functions (tokenizing, rendering).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/status.h"

namespace pagoda {

// A non-owning reference to a callable; valid during the call it is passed to.
template <class Signature>
class FunctionRef;
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>,
                           FunctionRef>)  // a copy refers to the callable, not to the original
      FunctionRef(F&& f)                  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* object, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
        }) {}
  R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

 private:
  void* object_;
  R (*call_)(void*, Args...);
};

class ComputePool {
 public:
  // Threads that are not bound may share a CPU, where one that spins keeps away the one it waits for.
  static constexpr int kSpinUs = 20, kBoundSpinUs = 50;
  // `num_threads` workers including the caller of run(), which is worker 0. Workers spin `spin_us`
  // microseconds for the next job, then park on a futex: waking one takes tens of microseconds, so the spin
  // should cover the gaps between the ops of a step. cpus: worker i runs on cpus[i] (CpuPlan::compute);
  // empty: the system places them. The caller of run() is bound by itself, see CpuBinding and bind_caller().
  explicit ComputePool(int num_threads, int spin_us = kSpinUs, std::vector<int> cpus = {});
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  int num_threads() const;
  int spin_us() const;
  void set_spin_us(int spin_us);  // not while a job runs
  // Binds the calling thread to worker 0's CPU, if the pool has CPUs: for a thread that from now on runs all
  // jobs. Cheap when it was the last to ask.
  void bind_caller();
  // Calls job(worker) once for every worker in [0, num_threads) and returns when all are done. One caller at
  // a time; a job may not call run() itself. What a job throws is thrown here once all are done: the first of
  // several. What the caller wrote before is visible to the job, and the reverse after.
  void run(FunctionRef<void(int)> job);
  // Splits [0, count) into contiguous ranges, a multiple of `grain` each but for the last; job(begin, end).
  // Which worker gets which range must not matter to the result.
  void parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t, int64_t)> job);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class TaskPool {
 public:
  // At most `capacity` tasks wait.
  TaskPool(int num_threads, std::size_t capacity);
  // Drops what is queued, cancels what runs (base/cancel.h), and joins.
  ~TaskPool();
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;
  // kExhausted when the queue is full, or there is no memory for the task. A task that throws ends with a
  // line in the log, and `failed` is told why, on the pool's thread: the waiter of the task must hear of
  // it. Tasks of one `turn` run in their order; different ones take turns, so that the many tasks of one do
  // not hold up another's few.
  Status submit(std::function<void()> task, std::function<void(const Status&)> failed = {},
                uint64_t turn = 0);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pagoda
