// The bytes of the second tier: memory slots that hold a block of the cache each, all layers of its group
// together, and a folder behind them. Does what a plan's moves say; which block lies where is the kv room's
// business.
#pragma once
#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "model/config.h"
#include "ops/attention.h"
#include "runner/kv_folder.h"
#include "tensor/tensor.h"

namespace pagoda {

class KvTier {
 public:
  // `windows`: of the groups, in their order. The slots' pages cost nothing until they are used. No folder:
  // memory alone. Error kExhausted: the system does not give so much memory.
  static Result<std::unique_ptr<KvTier>> create(const ModelConfig& config, std::span<const int32_t> windows,
                                                std::span<const KvLayerView> layers, int32_t num_slots,
                                                std::unique_ptr<KvFolder> folder);

  // The plan's kStore, before anything of the cache is written in this step.
  void store(std::span<const TierMove> moves, ComputePool& pool);
  // Its kLoad, before the forward pass.
  void load(std::span<const TierMove> moves, ComputePool& pool);
  // Begins the rest and says in the result what has ended. `idle`: there is nothing else to do, and it may
  // wait a little for that.
  void finish(std::span<const TierMove> moves, bool idle, StepResult* result);

  // Nothing in memory is wanted again: gives its pages back, unless some are still being written or filled.
  void clear();

 private:
  struct Piece {  // of a block, in one layer
    KvLayerView layer;
    int32_t group;
    std::size_t offset, bytes;  // in a slot
  };
  KvTier() = default;
  void copy(std::span<const TierMove> moves, TierMoveKind kind, ComputePool& pool);
  std::span<std::byte> slot(int32_t slot, int32_t group);

  std::vector<Piece> pieces_;             // by layer
  std::vector<std::size_t> group_bytes_;  // of a block
  std::size_t slot_bytes_ = 0;
  int32_t num_slots_ = 0;
  Buffer memory_;
  double store_s_ = 0, load_s_ = 0;   // of the step at hand
  std::unique_ptr<KvFolder> folder_;  // its thread uses the memory: goes first
};

}  // namespace pagoda
