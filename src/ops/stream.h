// The ops room: arithmetic on tensors as plain functions, one header per op, with a scalar reference and
// variants per instruction set chosen once per process (isa.h). No op knows a layer, a model or a request.
//
// The promise of every op (docs/numerics.md): each output row is a pure function of its own input row, the
// weights and its own cache, in every bit. Neighbours in the batch, number of threads, tile shapes and
// chunking change nothing. Sums run in one fixed order; fused multiply-adds are explicit; no op allocates
// while a step runs, but through Stream.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
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
class Stream {
 public:
  explicit Stream(ComputePool* pool) : pool_(pool), scratch_(static_cast<std::size_t>(pool->num_threads())) {}
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
  // Adds up the time of the ops that run here from now on; null, as at first: nobody looks at a clock.
  void set_times(OpTimes* times) { times_ = times; }
  OpTimes* times() const { return times_; }

 private:
  ComputePool* pool_;
  std::vector<Buffer> scratch_;
  Buffer shared_;
  OpTimes* times_ = nullptr;
};

// Stands at the beginning of an op.
class OpTimer {
 public:
  OpTimer(const Stream& stream, OpKind kind) : times_(stream.times()), kind_(kind) {
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
