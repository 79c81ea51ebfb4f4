#include "base/thread_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/env.h"

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

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace

struct ComputePool::Impl {
  const int num_threads;
  const std::chrono::microseconds spin;
  // Each on its own cache line: the caller writes `epoch`, the workers write `remaining`.
  alignas(64) std::atomic<uint32_t> epoch{0};           // odd and even both mean "a job"; a change starts one
  alignas(64) std::atomic<uint32_t> remaining{0};       // workers that have not finished the job
  alignas(64) std::atomic<uint32_t> parked{0};          // workers asleep, or about to be, on `epoch`
  alignas(64) std::atomic<uint32_t> caller_waiting{0};  // run() asleep, or about to be, on `remaining`
  std::atomic<bool> stopping{false};
  const FunctionRef<void(int)>* job = nullptr;  // published by the release store of `epoch`
  std::vector<std::thread> threads;

  Impl(int threads_in, int spin_us) : num_threads(std::max(threads_in, 1)), spin(spin_us) {}

  // Waits until `word` differs from `seen`, spinning first.
  uint32_t await_change(const std::atomic<uint32_t>& word, uint32_t seen, std::atomic<uint32_t>* sleepers) {
    auto deadline = std::chrono::steady_clock::now() + spin;
    for (int i = 1;; ++i) {
      uint32_t now = word.load(std::memory_order_acquire);
      if (now != seen) return now;
      pause_cpu();
      if (i % 64 == 0 && std::chrono::steady_clock::now() >= deadline) break;
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

  void work(int worker) {
    uint32_t seen = 0;
    for (;;) {
      seen = await_change(epoch, seen, &parked);
      if (stopping.load(std::memory_order_acquire)) return;
      (*job)(worker);
      if (remaining.fetch_sub(1) == 1 && caller_waiting.load() != 0) futex_wake_all(&remaining);
    }
  }

  void run(FunctionRef<void(int)> next) {
    if (num_threads == 1) return next(0);
    job = &next;
    remaining.store(static_cast<uint32_t>(num_threads - 1), std::memory_order_relaxed);
    epoch.fetch_add(1);
    if (parked.load() != 0) futex_wake_all(&epoch);
    next(0);
    for (uint32_t left = remaining.load(std::memory_order_acquire); left != 0;)
      left = await_change(remaining, left, &caller_waiting);
  }
};

ComputePool::ComputePool(int num_threads, int spin_us, bool pin)
    : impl_(std::make_unique<Impl>(num_threads, spin_us)) {
  std::vector<int> cpus = allowed_cpus();
  for (int worker = 1; worker < impl_->num_threads; ++worker) {
    impl_->threads.emplace_back([this, worker, pin, cpus] {
      if (pin) pin_to(cpus[static_cast<std::size_t>(worker) % cpus.size()]);
      impl_->work(worker);
    });
  }
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

struct TaskPool::Impl {
  std::mutex mutex;
  std::condition_variable ready;
  std::deque<std::function<void()>> tasks;
  std::size_t capacity;
  bool stopping = false;
  std::vector<std::thread> threads;

  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex);
        ready.wait(lock, [&] { return stopping || !tasks.empty(); });
        if (tasks.empty()) return;
        task = std::move(tasks.front());
        tasks.pop_front();
      }
      task();
    }
  }
};

TaskPool::TaskPool(int num_threads, std::size_t capacity) : impl_(std::make_unique<Impl>()) {
  impl_->capacity = capacity;
  for (int i = 0; i < std::max(num_threads, 1); ++i) impl_->threads.emplace_back([this] { impl_->work(); });
}

TaskPool::~TaskPool() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->ready.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

Status TaskPool::submit(std::function<void()> task) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->stopping) return Status(StatusCode::kUnavailable, "shutting down");
    if (impl_->tasks.size() >= impl_->capacity)
      return Status(StatusCode::kExhausted, "too many prompts are waiting to be tokenized")
          .with_retry_after_ms(1000);
    impl_->tasks.push_back(std::move(task));
  }
  impl_->ready.notify_one();
  return {};
}

}  // namespace pagoda
