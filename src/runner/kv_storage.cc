#include "runner/kv_storage.h"

#include <fmt/format.h>

#include <new>

#include "tensor/dtype.h"

namespace pagoda {

Result<KvStorage> KvStorage::allocate(const ModelConfig& config, DType dtype, int32_t block_size,
                                      int32_t num_blocks) {
  std::vector<std::size_t> layer_bytes;
  std::size_t total = 0;
  for (const LayerConfig& layer : config.layers) {
    layer_bytes.push_back(
        kv_block_bytes(dtype, layer.attention.num_kv_heads, layer.attention.head_dim, block_size) *
        static_cast<std::size_t>(num_blocks));
    total += layer_bytes.back();
  }
  KvStorage storage;
  try {
    storage.memory_ = Buffer(total);
  } catch (const std::bad_alloc&) {
    return Status(
        StatusCode::kExhausted,
        fmt::format("cannot allocate {} bytes for the KV cache: use a smaller --kv-cache-memory-bytes, "
                    "--num-gpu-blocks-override or --gpu-memory-utilization",
                    total));
  }
  auto* data = static_cast<std::byte*>(storage.memory_.data());
  for (std::size_t i = 0; i < config.layers.size(); data += layer_bytes[i++])
    storage.layers_.push_back({.data = data,
                               .dtype = dtype,
                               .num_kv_heads = config.layers[i].attention.num_kv_heads,
                               .head_dim = config.layers[i].attention.head_dim,
                               .block_size = block_size});
  return storage;
}

void KvStorage::copy_block(const ModelConfig& config, int32_t window, int32_t src, int32_t dst) const {
  for (std::size_t i = 0; i < layers_.size(); ++i)
    if (config.layers[i].attention.window == window) kv_copy_block(layers_[i], src, dst);
}

}  // namespace pagoda
