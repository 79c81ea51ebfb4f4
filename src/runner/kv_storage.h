#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/config.h"
#include "ops/attention.h"

namespace pagoda {

// The bytes of the cache: K and V of num_blocks blocks for every layer. Zero at first; pages (of 2 MB, where
// the system has them) that no block has used yet cost nothing.
class KvStorage {
 public:
  // Error kExhausted: the system does not give so much memory.
  static Result<KvStorage> allocate(const ModelConfig& config, DType dtype, int32_t block_size,
                                    int32_t num_blocks);

  std::span<const KvLayerView> layers() const { return layers_; }
  // All zero again; the pages go back to the system.
  void clear() { memory_.clear(); }
  // Copies a block in all layers of the group with this window.
  void copy_block(const ModelConfig& config, int32_t window, int32_t src, int32_t dst) const;

 private:
  Buffer memory_;
  std::vector<KvLayerView> layers_;
};

}  // namespace pagoda
