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
// The model's groups on the backend with these ops, for the KvManager and the cache alike.
std::vector<KvGroupSpec> kv_groups(const ModelConfig& config, DType dtype, int32_t block_size,
                                   const OpTable& ops);

// The bytes of the cache: num_blocks pages of equal size. A page holds a block of the group that it belongs
// to at the time: [layer of the group][its KvLayout]; what is left of it is unused. Zero at first; memory
// that no block has used yet costs nothing.
class KvStorage {
 public:
  // Error kExhausted: the system does not give so much memory.
  static Result<KvStorage> allocate(std::span<const KvGroupSpec> groups, std::span<const KvLayout> layouts,
                                    int32_t num_blocks, ComputeStream& stream);

  std::span<const KvLayerView> layers() const { return layers_; }
  std::size_t page_bytes() const { return page_bytes_; }
  DeviceBuffer& memory() { return memory_; }  // page after page
  // All zero again; the memory goes back to the system.
  void clear() { memory_.clear(); }
  void copy_page(int32_t src, int32_t dst);

 private:
  DeviceBuffer memory_;
  std::size_t page_bytes_ = 0;
  std::vector<KvLayerView> layers_;
};

}  // namespace pagoda
