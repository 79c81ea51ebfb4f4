#include "runner/kv_storage.h"

#include <fmt/format.h>

#include <new>

#include "model/kv_groups.h"

namespace pagoda {

std::vector<KvLayout> kv_layouts(const ModelConfig& config, DType dtype, int32_t block_size) {
  std::vector<KvLayout> layouts;
  for (const LayerConfig& layer : config.layers) {
    const AttentionConfig& shape = layer.attention;
    layouts.push_back({dtype, shape.num_kv_heads, shape.head_dim, shape.head_dim, block_size});
  }
  return layouts;
}

std::vector<KvGroupSpec> kv_groups(const ModelConfig& config, DType dtype, int32_t block_size,
                                   const OpTable& ops) {
  std::vector<uint64_t> layer_bytes;
  for (const KvLayout& layout : kv_layouts(config, dtype, block_size))
    layer_bytes.push_back(kv_block_bytes(layout, ops));
  return kv_groups(config, block_size, layer_bytes);
}

Result<KvStorage> KvStorage::allocate(std::span<const KvGroupSpec> groups, std::span<const KvLayout> layouts,
                                      int32_t num_blocks, ComputeStream& stream) {
  KvStorage storage;
  storage.page_bytes_ = groups[0].block_bytes;
  const std::size_t total = storage.page_bytes_ * static_cast<std::size_t>(num_blocks);
  try {
    storage.memory_ = DeviceBuffer(stream.memory(), total);
  } catch (const std::bad_alloc&) {
    return Status(
        StatusCode::kExhausted,
        fmt::format("cannot allocate {} bytes for the KV cache: use a smaller --kv-cache-memory-bytes, "
                    "--num-gpu-blocks-override or --gpu-memory-utilization",
                    total));
  }
  auto* const data = static_cast<std::byte*>(storage.memory_.data());
  storage.layers_.resize(layouts.size());
  for (const KvGroupSpec& group : groups) {
    std::size_t offset = 0;
    for (int32_t layer : group.layers) {
      const KvLayout& layout = layouts[static_cast<std::size_t>(layer)];
      storage.layers_[static_cast<std::size_t>(layer)] = {data + offset, storage.page_bytes_, layout};
      offset += kv_block_bytes(layout, stream.ops());
    }
    PAGODA_CHECK(offset <= storage.page_bytes_ && group.block_bytes == storage.page_bytes_,
                 "a page holds a block of any group");
  }
  return storage;
}

void KvStorage::copy_page(int32_t src, int32_t dst) {
  memory_.copy(static_cast<std::size_t>(dst) * page_bytes_, static_cast<std::size_t>(src) * page_bytes_,
               page_bytes_);
}

}  // namespace pagoda
