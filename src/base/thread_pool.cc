#include "base/thread_pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/cancel.h"
#include "base/check.h"
#include "base/cpu_plan.h"
#include "base/log.h"
#include "base/memory_reserve.h"

namespace pagoda {
namespace {

// A raw futex: libstdc++ 12's atomic waits keep a proxy table and can lose wake-ups between unrelated
// addresses.
void futex_wait(const std::atomic<uint32_t>* word, uint32_t seen) {
  ::syscall(SYS_futex, reinterpret_cast<const uint32_t*>(word), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr,
            0);
}
void futex_wake_all(const std::atomic<uint32_t>* word) {
  ::syscall(SYS_futex, reinterpret_cast<const uint32_t*>(word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr,
            0);
}

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// What a worker and the caller tell one another; a line of its own, so that neighbours do not pull it away.
struct alignas(64) Slot {
  std::atomic<uint32_t> done{0};        // the last epoch whose job this worker has finished
  std::atomic<uint32_t> is_awaited{0};  // the caller sleeps, or is about to, on `done`
};

}  // namespace

struct ComputePool::Impl {
  const int num_threads;
  std::atomic<int> spin_us;
  const std::vector<int> cpus;
  std::thread::id bound_caller;
  // One line that the caller writes and the workers read: a new epoch starts a job.
  alignas(64) std::atomic<uint32_t> epoch{0};
  std::atomic<bool> stopping{false};
  const FunctionRef<void(int)>* job = nullptr;  // published by `epoch`
  alignas(64) std::atomic<uint32_t> parked{0};  // workers asleep, or about to be, on `epoch`
  std::atomic<bool> has_failed{false};          // a worker's job has thrown; its `failure` says what
  std::exception_ptr failure;                   // of the first; read once all are done
  std::vector<Slot> slots;                      // of workers 1, 2, ...
  std::vector<std::thread> threads;

  Impl(int threads_in, int spin_us_in, std::vector<int> cpus_in)
      : num_threads(std::max(threads_in, 1)),
        spin_us(spin_us_in),
        cpus(std::move(cpus_in)),
        slots(static_cast<std::size_t>(num_threads - 1)) {
    PAGODA_CHECK(cpus.empty() || cpus.size() == static_cast<std::size_t>(num_threads),
                 "a CPU for every worker");
  }

  // Waits until `word` differs from `seen`, spinning first.
  uint32_t await_change(const std::atomic<uint32_t>& word, uint32_t seen, std::atomic<uint32_t>* sleepers) {
    std::chrono::steady_clock::time_point deadline{};
    for (int i = 1;; ++i) {
      uint32_t now = word.load(std::memory_order_acquire);
      if (now != seen) return now;
      pause_cpu();
      if (i % 64 != 0) continue;
      auto time = std::chrono::steady_clock::now();
      if (i == 64) deadline = time + std::chrono::microseconds(spin_us.load(std::memory_order_relaxed));
      if (time >= deadline) break;
    }
    // Sequentially consistent on both sides: either the waker sees us among the sleepers, or we see its
    // change.
    sleepers->fetch_add(1);
    for (;;) {
      uint32_t now = word.load();
      if (now != seen) {
        sleepers->fetch_sub(1);
        return now;
      }
      futex_wait(&word, seen);
    }
  }

  void attempt(const FunctionRef<void(int)>& work_of, int worker) noexcept {
    try {
      work_of(worker);
    } catch (...) {
      if (!has_failed.exchange(true)) failure = std::current_exception();
    }
  }

  void work(int worker) {
    let_this_thread_use_the_reserve();  // it works for the caller of run()
    if (!cpus.empty()) bind_this_thread({cpus[static_cast<std::size_t>(worker)]});
    Slot& slot = slots[static_cast<std::size_t>(worker - 1)];
    uint32_t seen = 0;
    for (;;) {
      seen = await_change(epoch, seen, &parked);
      if (stopping.load(std::memory_order_acquire)) return;
      attempt(*job, worker);
      slot.done.store(seen);
      if (slot.is_awaited.load() != 0) futex_wake_all(&slot.done);
    }
  }

  void run(FunctionRef<void(int)> next) {
    if (num_threads == 1) return next(0);
    job = &next;
    const uint32_t previous = epoch.fetch_add(1);
    if (parked.load() != 0) futex_wake_all(&epoch);
    attempt(next, 0);
    for (Slot& slot : slots)  // each was at `previous` before
      if (slot.done.load(std::memory_order_acquire) == previous)
        await_change(slot.done, previous, &slot.is_awaited);
    if (has_failed.load()) [[unlikely]] {
      has_failed.store(false);
      std::rethrow_exception(std::exchange(failure, nullptr));
    }
  }
};

ComputePool::ComputePool(int num_threads, int spin_us, std::vector<int> cpus)
    : impl_(std::make_unique<Impl>(num_threads, spin_us, std::move(cpus))) {
  for (int worker = 1; worker < impl_->num_threads; ++worker)
    impl_->threads.emplace_back([this, worker] { impl_->work(worker); });
}

ComputePool::~ComputePool() {
  impl_->stopping.store(true, std::memory_order_release);
  impl_->epoch.fetch_add(1);
  futex_wake_all(&impl_->epoch);
  for (std::thread& thread : impl_->threads) thread.join();
}

int ComputePool::num_threads() const {
  return impl_->num_threads;
}

int ComputePool::spin_us() const {
  return impl_->spin_us.load(std::memory_order_relaxed);
}

void ComputePool::set_spin_us(int spin_us) {
  impl_->spin_us.store(spin_us, std::memory_order_relaxed);
}

void ComputePool::bind_caller() {
  if (impl_->cpus.empty() || impl_->bound_caller == std::this_thread::get_id()) return;
  impl_->bound_caller = std::this_thread::get_id();
  bind_this_thread({impl_->cpus[0]});
}

void ComputePool::run(FunctionRef<void(int)> job) {
  impl_->run(job);
}

void ComputePool::parallel_for(int64_t count, int64_t grain, FunctionRef<void(int64_t, int64_t)> job) {
  if (count <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  int64_t num_grains = (count + grain - 1) / grain, workers = std::min<int64_t>(num_threads(), num_grains);
  if (workers == 1) return job(0, count);
  run([&](int worker) {
    if (worker >= workers) return;
    int64_t begin = num_grains * worker / workers * grain;
    int64_t end = std::min(count, num_grains * (worker + 1) / workers * grain);
    if (begin < end) job(begin, end);
  });
}

namespace {

struct Task {
  std::function<void()> work;
  std::function<void(const Status&)> failed;

  void run() noexcept {
    try {
      work();
    } catch (...) {
      tell_failure();
    }
  }

 private:
  void tell_failure() noexcept {
    UseOfReserve to_tell;
    try {
      const Status status = status_of_exception();
      log_error("A task of the text pool failed: {}", status.message());
      if (failed) failed(status);
    } catch (...) {
      log_error("A task of the text pool failed, and its waiter could not be told.");
    }
  }
};

}  // namespace

struct TaskPool::Impl {
  std::mutex mutex;
  std::condition_variable ready;
  std::unordered_map<uint64_t, std::deque<Task>> tasks;  // by whose they are
  std::list<uint64_t> turns;                             // of those that have some
  std::size_t num_tasks = 0;
  std::size_t capacity;
  bool stopping = false;
  CancelToken unwanted;  // all of it, once the pool goes
  std::vector<std::thread> threads;

  // All of it or, where memory lacks, nothing.
  void add(Task&& task, uint64_t turn) {
    std::deque<Task>& own = tasks[turn];
    std::list<uint64_t> newcomer;
    if (own.empty()) newcomer.push_back(turn);
    own.push_back(std::move(task));
    turns.splice(turns.end(), newcomer);
    ++num_tasks;
  }

  // Allocates nothing: no caller on the pool's threads could catch std::bad_alloc.
  Task take() noexcept {
    auto own = tasks.find(turns.front());
    Task task = std::move(own->second.front());
    own->second.pop_front();
    --num_tasks;
    if (own->second.empty()) {
      tasks.erase(own);
      turns.pop_front();
    } else {
      turns.splice(turns.end(), turns, turns.begin());
    }
    return task;
  }

  void work() {
    const CancelScope scope(&unwanted);
    for (;;) {
      Task task;
      {
        std::unique_lock lock(mutex);
        ready.wait(lock, [&] { return stopping || num_tasks > 0; });
        if (stopping) return;
        task = take();
      }
      task.run();
    }
  }
};

TaskPool::TaskPool(int num_threads, std::size_t capacity) : impl_(std::make_unique<Impl>()) {
  impl_->capacity = capacity;
  for (int i = 0; i < std::max(num_threads, 1); ++i) impl_->threads.emplace_back([this] { impl_->work(); });
}

TaskPool::~TaskPool() {
  impl_->unwanted.cancel();
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->ready.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
  // While the rest is whole: what goes with a task may still submit another.
  auto dropped = std::move(impl_->tasks);
}

Status TaskPool::submit(std::function<void()> task, std::function<void(const Status&)> failed,
                        uint64_t turn) {
  Task made{std::move(task), std::move(failed)};  // if refused, it goes after the lock
  try {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return Status(StatusCode::kUnavailable, "shutting down");
    if (impl_->num_tasks >= impl_->capacity)
      return Status(StatusCode::kExhausted, "too many prompts are waiting to be tokenized")
          .with_retry_after_ms(1000);
    impl_->add(std::move(made), turn);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kExhausted, "there is too little memory for this request")
        .with_retry_after_ms(1000);
  }
  impl_->ready.notify_one();
  return {};
}

}  // namespace pagoda
