// The bytes of what the cache has offloaded: slots of memory that hold a page each, and a disk
// behind them. Carries out the moves of plans; which block lies where is decided in the
// kv room.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "contract/step_result.h"
#include "kv_offload/offload_disk.h"
#include "tensor/device_memory.h"
#include "tensor/tensor.h"

namespace pagoda {

struct OffloadConfig {
  int32_t num_slots = 0;              // of memory; 0: no offloading
  std::unique_ptr<OffloadDisk> disk;  // null: memory alone
};

// The cache: num_pages pages of device memory, one after the other.
struct OffloadPages {
  DeviceBuffer* memory = nullptr;
  std::size_t page_bytes = 0;
  int32_t num_pages = 0;
};

class OffloadWorker {
 public:
  // `cache` outlives this. Slots cost nothing until they are used. Error kExhausted: the system does not give
  // so much memory.
  static Result<std::unique_ptr<OffloadWorker>> create(const OffloadPages& cache, OffloadConfig config);

  // The plan's kStore, before anything of the cache is written in this step.
  void store(std::span<const OffloadMove> moves, ComputePool& pool);
  // Its kLoad, before the forward pass.
  void load(std::span<const OffloadMove> moves, ComputePool& pool);
  // Begins the rest, which ends while later steps run.
  void begin(std::span<const OffloadMove> moves);
  // What store() and load() have taken since the last call.
  void take_times(StepResult* result);
  // As OffloadDisk's.
  void take_ended(std::vector<OffloadMoveEnd>* ended);
  void on_move_end(std::function<void()> wake);

  // The contents are no longer needed: gives the pages back, unless some are still being written or filled.
  void clear();

 private:
  OffloadWorker() = default;
  void copy(std::span<const OffloadMove> moves, OffloadMoveKind kind, ComputePool& pool);
  std::span<std::byte> slot(int32_t slot);

  OffloadPages cache_;
  int32_t num_slots_ = 0;
  Buffer memory_;
  double store_s_ = 0, load_s_ = 0;    // since take_times()
  std::unique_ptr<OffloadDisk> disk_;  // its thread uses the memory: goes first
};

}  // namespace pagoda
