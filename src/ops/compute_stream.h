// The ops room: arithmetic on tensors as plain functions, one header per op. All tensors, spans and buffers
// are device memory unless a header says otherwise. ops/x.cc checks shapes and calls the backend's body
// through its table (op_table.h); the CPU's bodies are in ops/cpu/, with a scalar reference and variants per
// instruction set chosen once per process (cpu/isa.h). No op knows a layer, a model or a request.
//
// The promise of every op (docs/design/numerics.md): each output row is a pure function of its own input row,
// the weights and its own cache, in every bit. Neighbours in the batch, number of threads, tile shapes and
// chunking change nothing. Sums run in one fixed order; fused multiply-adds are explicit; no op allocates
// while a step runs, but through ComputeStream.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/thread_pool.h"
#include "tensor/device_memory.h"
#include "tensor/tensor.h"

namespace pagoda {

// Seconds of the ops by kind, for benchmarks.
enum class OpKind {
  kLinear,
  kAttention,
  kRows
};  // kRows: norms, rotations, conversions, embedding, KV stores
using OpTimes = std::array<double, 3>;

struct OpTable;

// Where ops run: one device's queue of work, its memory and the table of its ops. One per engine; used by one
// thread at a time. Backends derive theirs (cpu/cpu_stream.h).
class ComputeStream {
 public:
  virtual ~ComputeStream() = default;
  ComputeStream(const ComputeStream&) = delete;
  ComputeStream& operator=(const ComputeStream&) = delete;

  const OpTable& ops() const { return ops_; }
  // What runs the ops, for messages and keys: "avx512". Kernels of another name may give other bits.
  virtual std::string kernels_name() const = 0;
  DeviceMemory& memory() const { return memory_; }
  // The host's threads: they are the CPU backend's workers, and pack, hash and sample beside any other.
  ComputePool& pool() const { return pool_; }
  // Adds up the time of the ops that run here from now on; null, as at first: no clock is read.
  void set_times(OpTimes* times) { times_ = times; }
  OpTimes* times() const { return times_; }

 protected:
  ComputeStream(const OpTable& ops, DeviceMemory& memory, ComputePool& pool)
      : ops_(ops), memory_(memory), pool_(pool) {}

 private:
  const OpTable& ops_;
  DeviceMemory& memory_;
  ComputePool& pool_;
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
