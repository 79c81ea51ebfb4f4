#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "contract/kv_group.h"
#include "model/config.h"
#include "ops/attention.h"

namespace pagoda {

// What each layer keeps in a block.
std::vector<KvLayout> kv_layouts(const ModelConfig& config, DType dtype, int32_t block_size);
// The model's groups, for the KvManager and the cache alike.
std::vector<KvGroupSpec> kv_groups(const ModelConfig& config, DType dtype, int32_t block_size);

// The bytes of the cache: num_blocks pages of equal size. A page holds a block of the group that it belongs
// to at the time: [layer of the group][its KvLayout]; what is left of it is unused. Zero at first; memory
// that no block has used yet costs nothing.
class KvStorage {
 public:
  // Error kExhausted: the system does not give so much memory.
  static Result<KvStorage> allocate(std::span<const KvGroupSpec> groups, std::span<const KvLayout> layouts,
                                    int32_t num_blocks);

  std::span<const KvLayerView> layers() const { return layers_; }
  std::span<std::byte> page(int32_t block) const {
    return {data_ + static_cast<std::size_t>(block) * page_bytes_, page_bytes_};
  }
  // All zero again; the memory goes back to the system.
  void clear() { memory_.clear(); }
  void copy_page(int32_t src, int32_t dst) const;

 private:
  Buffer memory_;
  std::byte* data_ = nullptr;
  std::size_t page_bytes_ = 0;
  std::vector<KvLayerView> layers_;
};

}  // namespace pagoda
