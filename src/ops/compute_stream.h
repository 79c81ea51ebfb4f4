// The ops room: arithmetic on tensors as plain functions, one header per op, with a scalar reference and
// variants per instruction set chosen once per process (cpu/isa.h). No op knows a layer, a model or a
// request.
//
// The promise of every op (docs/design/numerics.md): each output row is a pure function of its own input row, the
// weights and its own cache, in every bit. Neighbours in the batch, number of threads, tile shapes and
// chunking change nothing. Sums run in one fixed order; fused multiply-adds are explicit; no op allocates
// while a step runs, but through ComputeStream.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu/tuning.h"
#include "tensor/tensor.h"

namespace pagoda {

// Seconds of the ops by kind, for benchmarks.
enum class OpKind {
  kLinear,
  kAttention,
  kRows
};  // kRows: norms, rotations, conversions, embedding, KV stores
using OpTimes = std::array<double, 3>;

// Where ops run: the compute pool and its scratch memory. One per engine; used by one thread at a time.
class ComputeStream {
 public:
  explicit ComputeStream(ComputePool* pool)
      : pool_(pool),
        scratch_(static_cast<std::size_t>(pool->num_threads())),
        shares_(std::make_unique<Share[]>(scratch_.size())) {}
  ComputePool& pool() { return *pool_; }
  // Scratch of one worker, at least `bytes` long, 64-byte aligned, contents undefined; grows, never shrinks.
  // Valid until this worker's next call.
  void* scratch(int worker, std::size_t bytes) {
    Buffer& buffer = scratch_[static_cast<std::size_t>(worker)];
    if (buffer.bytes() < bytes) buffer = Buffer(bytes);
    return buffer.data();
  }
  // Scratch that all workers of one op share, on the same terms; asked for outside of pool().run().
  void* shared(std::size_t bytes) {
    if (shared_.bytes() < bytes) shared_ = Buffer(bytes);
    return shared_.data();
  }
  // Calls job(begin, end, worker) until all of [0, count) is done, by the first `workers` workers. Each
  // begins with its own contiguous share, always the same one for the same count (so that on a NUMA machine
  // it reads what it has packed), in pieces; who is done takes pieces of those who are not. For jobs to whose
  // result it does not matter who does what.
  template <class Job>
  void share_out(int64_t count, int64_t workers, Job&& job) {
    if (workers <= 1) return job(0, count, 0);
    for (int64_t i = 0; i < workers; ++i) {
      shares_[static_cast<std::size_t>(i)].next.store(count * i / workers, std::memory_order_relaxed);
      shares_[static_cast<std::size_t>(i)].end = count * (i + 1) / workers;
    }
    const int64_t piece = std::max<int64_t>(count / workers / tuning_.pieces, 1);
    pool_->run([&](int worker) {
      if (worker >= workers) return;
      for (int64_t i = 0; i < workers; ++i) {
        Share& share = shares_[static_cast<std::size_t>((worker + i) % workers)];
        for (int64_t begin; (begin = share.next.fetch_add(piece, std::memory_order_relaxed)) < share.end;)
          job(begin, std::min(begin + piece, share.end), worker);
      }
    });
  }
  // How the ops do here what may be done in several ways. Not while one runs.
  const CpuTuning& tuning() const { return tuning_; }
  void set_tuning(const CpuTuning& tuning) {
    tuning_ = tuning;
    if (tuning.spin_us > 0) pool_->set_spin_us(static_cast<int>(tuning.spin_us));
  }
  // Adds up the time of the ops that run here from now on; null, as at first: nobody looks at a clock.
  void set_times(OpTimes* times) { times_ = times; }
  OpTimes* times() const { return times_; }

 private:
  struct alignas(64) Share {  // a cache line each
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  ComputePool* pool_;
  CpuTuning tuning_;
  std::vector<Buffer> scratch_;
  std::unique_ptr<Share[]> shares_;
  Buffer shared_;
  OpTimes* times_ = nullptr;
};

// Stands at the beginning of an op.
class OpTimer {
 public:
  OpTimer(const ComputeStream& stream, OpKind kind) : times_(stream.times()), kind_(kind) {
    if (times_ != nullptr) start_ = std::chrono::steady_clock::now();
  }
  ~OpTimer() {
    if (times_ != nullptr) (*times_)[static_cast<std::size_t>(kind_)] += seconds();
  }
  OpTimer(const OpTimer&) = delete;
  OpTimer& operator=(const OpTimer&) = delete;

 private:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  OpTimes* times_;
  OpKind kind_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace pagoda
