#include "runner/kv_storage.h"

#include <fmt/format.h>

#include "tensor/dtype.h"

namespace pagoda {

Result<KvStorage> KvStorage::allocate(const ModelConfig& config, DType dtype, int32_t block_size,
                                      int32_t num_blocks) {
  constexpr std::size_t kAlignment = 64;
  const AttentionShape& shape = config.attention;
  const std::size_t block_bytes = kv_block_bytes(dtype, shape.num_kv_heads, shape.head_dim, block_size);
  const std::size_t part_bytes =
      (block_bytes * static_cast<std::size_t>(num_blocks) + kAlignment - 1) / kAlignment * kAlignment;
  const std::size_t total = 2 * part_bytes * config.layers.size() + kAlignment;

  KvStorage storage;
  storage.memory_.reset(std::calloc(total, 1));  // large: fresh pages, zero without being touched
  if (storage.memory_ == nullptr)
    return Status(StatusCode::kExhausted, fmt::format("cannot allocate {} bytes for the KV cache", total));
  auto address =
      (reinterpret_cast<uintptr_t>(storage.memory_.get()) + kAlignment - 1) / kAlignment * kAlignment;
  for (std::size_t i = 0; i < config.layers.size(); ++i) {
    KvLayerView view{.dtype = dtype,
                     .num_kv_heads = shape.num_kv_heads,
                     .head_dim = shape.head_dim,
                     .block_size = block_size};
    view.k = reinterpret_cast<void*>(address);
    view.v = reinterpret_cast<void*>(address + part_bytes);
    address += 2 * part_bytes;
    storage.layers_.push_back(view);
  }
  return storage;
}

void KvStorage::copy_block(const ModelConfig& config, int32_t window, int32_t src, int32_t dst) const {
  for (std::size_t i = 0; i < layers_.size(); ++i)
    if (config.layers[i].window == window) kv_copy_block(layers_[i], src, dst);
}

}  // namespace pagoda
