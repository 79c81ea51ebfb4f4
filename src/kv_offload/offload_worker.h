// The bytes of what the cache has offloaded: slots of memory that hold a block each, all layers of its group
// together, and a disk behind them. Carries out the moves of plans; which block lies where is decided in the
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

// One layer's part of the cache: block b is the block_bytes at data + b * block_bytes.
struct OffloadRegion {
  std::byte* data;
  std::size_t block_bytes;
  int32_t group;
};

class OffloadWorker {
 public:
  // `cache`: all layers. The slots' pages cost nothing until they are used. Error kExhausted: the system does
  // not give so much memory.
  static Result<std::unique_ptr<OffloadWorker>> create(std::span<const OffloadRegion> cache,
                                                       OffloadConfig config);

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
  struct Piece {  // of a block, in one layer
    OffloadRegion cache;
    std::size_t offset;  // in a slot
  };
  OffloadWorker() = default;
  void copy(std::span<const OffloadMove> moves, OffloadMoveKind kind, ComputePool& pool);
  std::span<std::byte> slot(int32_t slot, int32_t group);

  std::vector<Piece> pieces_;             // by layer
  std::vector<std::size_t> group_bytes_;  // of a block
  std::size_t slot_bytes_ = 0;
  int32_t num_slots_ = 0;
  Buffer memory_;
  double store_s_ = 0, load_s_ = 0;    // of the step at hand
  std::unique_ptr<OffloadDisk> disk_;  // its thread uses the memory: goes first
};

}  // namespace pagoda
