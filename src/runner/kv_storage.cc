#include "runner/kv_storage.h"

#include <fmt/format.h>

#include <new>

#include "tensor/dtype.h"

namespace pagoda {

Result<KvStorage> KvStorage::allocate(const ModelConfig& config, DType dtype, int32_t block_size,
                                      int32_t num_blocks) {
  const AttentionShape& shape = config.attention;
  const std::size_t layer_bytes = kv_block_bytes(dtype, shape.num_kv_heads, shape.head_dim, block_size) *
                                  static_cast<std::size_t>(num_blocks);
  KvStorage storage;
  try {
    storage.memory_ = Buffer(layer_bytes * config.layers.size());
  } catch (const std::bad_alloc&) {
    return Status(
        StatusCode::kExhausted,
        fmt::format("cannot allocate {} bytes for the KV cache: use a smaller --kv-cache-memory-bytes, "
                    "--num-gpu-blocks-override or --gpu-memory-utilization",
                    layer_bytes * config.layers.size()));
  }
  auto* layer = static_cast<std::byte*>(storage.memory_.data());
  for (std::size_t i = 0; i < config.layers.size(); ++i, layer += layer_bytes)
    storage.layers_.push_back({.data = layer,
                               .dtype = dtype,
                               .num_kv_heads = shape.num_kv_heads,
                               .head_dim = shape.head_dim,
                               .block_size = block_size});
  return storage;
}

void KvStorage::copy_block(const ModelConfig& config, int32_t window, int32_t src, int32_t dst) const {
  for (std::size_t i = 0; i < layers_.size(); ++i)
    if (config.layers[i].window == window) kv_copy_block(layers_[i], src, dst);
}

}  // namespace pagoda
