// The CPU backend's stream: the compute pool, its scratch memory and how the ops are tuned.
#pragma once
#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/compute_stream.h"
#include "ops/cpu/isa.h"
#include "ops/cpu/tuning.h"

namespace pagoda {

const OpTable& cpu_ops();

class CpuStream : public ComputeStream {
 public:
  explicit CpuStream(ComputePool* pool) : CpuStream(cpu_ops(), cpu_memory(), pool) {}
  explicit CpuStream(std::unique_ptr<ComputePool> pool) : CpuStream(pool.get()) {
    own_pool_ = std::move(pool);
  }
  explicit CpuStream(int num_threads) : CpuStream(std::make_unique<ComputePool>(num_threads)) {}
  std::string kernels_name() const override { return isa_name(selected_isa()); }

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
  // it reads what it has packed), in pieces; a worker that is done takes pieces of the others. For jobs whose
  // result does not depend on which worker does what.
  template <class Job>
  void share_out(int64_t count, int64_t workers, Job&& job) {
    if (workers <= 1) return job(0, count, 0);
    for (int64_t i = 0; i < workers; ++i) {
      shares_[static_cast<std::size_t>(i)].next.store(count * i / workers, std::memory_order_relaxed);
      shares_[static_cast<std::size_t>(i)].end = count * (i + 1) / workers;
    }
    const int64_t piece = std::max<int64_t>(count / workers / tuning_.pieces, 1);
    pool().run([&](int worker) {
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
    if (tuning.spin_us > 0) pool().set_spin_us(static_cast<int>(tuning.spin_us));
  }

 protected:
  // Ops of another table that end in the CPU's own bodies, on memory of another kind; for tests.
  CpuStream(const OpTable& ops, DeviceMemory& memory, ComputePool* pool)
      : ComputeStream(ops, memory, *pool),
        scratch_(static_cast<std::size_t>(pool->num_threads())),
        shares_(std::make_unique<Share[]>(scratch_.size())) {}

 private:
  struct alignas(64) Share {  // a cache line each
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };
  std::unique_ptr<ComputePool> own_pool_;  // null: the caller's
  CpuTuning tuning_;
  std::vector<Buffer> scratch_;
  std::unique_ptr<Share[]> shares_;
  Buffer shared_;
};

namespace cpu {

// Of an op of the CPU's table.
inline CpuStream& cpu_stream(ComputeStream& stream) {
  return static_cast<CpuStream&>(stream);
}

}  // namespace cpu
}  // namespace pagoda
