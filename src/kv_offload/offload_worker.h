// The bytes of what the cache has offloaded: slots of memory that hold a page each, and a disk
// behind them. Carries out the moves of plans; which block lies where is decided in the
// kv room.
#pragma once
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kv_offload/offload_disk.h"
#include "tensor/tensor.h"

namespace pagoda {

struct OffloadConfig {
  int32_t num_slots = 0;              // of memory; 0: no offloading
  std::unique_ptr<OffloadDisk> disk;  // null: memory alone
};

// The cache: num_pages pages, one after the other. `first`: page 0, the null block's.
struct OffloadPages {
  std::span<std::byte> first;
  int32_t num_pages;
};

class OffloadWorker {
 public:
  // Slots cost nothing until they are used. Error kExhausted: the system does not give so much memory.
  static Result<std::unique_ptr<OffloadWorker>> create(OffloadPages cache, OffloadConfig config);

  // The plan's kStore, before anything of the cache is written in this step.
  void store(std::span<const OffloadMove> moves, ComputePool& pool);
  // Its kLoad, before the forward pass.
  void load(std::span<const OffloadMove> moves, ComputePool& pool);
  // Begins the rest and says in the result what has ended. `idle`: there is nothing else to do, and it may
  // wait a little for that.
  void finish(std::span<const OffloadMove> moves, bool idle, StepResult* result);

  // The contents are no longer needed: gives the pages back, unless some are still being written or filled.
  void clear();

 private:
  OffloadWorker() = default;
  void copy(std::span<const OffloadMove> moves, OffloadMoveKind kind, ComputePool& pool);
  std::span<std::byte> slot(int32_t slot);

  OffloadPages cache_{};
  int32_t num_slots_ = 0;
  Buffer memory_;
  double store_s_ = 0, load_s_ = 0;    // of the step at hand
  std::unique_ptr<OffloadDisk> disk_;  // its thread uses the memory: goes first
};

}  // namespace pagoda
