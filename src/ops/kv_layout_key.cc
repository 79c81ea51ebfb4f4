#include "ops/kv_layout_key.h"

#include <numeric>
#include <vector>

#include "base/rng.h"

namespace pagoda {

Hash128 kv_layout_key(const KvLayout& layout, ComputeStream& stream) {
  const DeviceBuffer block(stream.memory(), kv_block_bytes(layout, stream.ops()));
  const int64_t row_size = int64_t{layout.num_kv_heads} * layout.k_dim;
  std::vector<float> numbers(static_cast<std::size_t>(layout.block_size * row_size));
  SplitMix64 random(1);
  for (float& number : numbers) number = static_cast<float>(2 * random.uniform() - 1);
  const DeviceBuffer stored = DeviceBuffer::copy_of(stream.memory(), std::as_bytes(std::span(numbers)));
  const Tensor rows = Tensor::matrix(stored.data(), DType::kF32, layout.block_size, row_size);
  std::vector<int64_t> slots(static_cast<std::size_t>(layout.block_size));
  std::iota(slots.begin(), slots.end(), 0);
  AttnBatch batch;
  const DeviceBuffer mapping = DeviceBuffer::copy_of(stream.memory(), std::as_bytes(std::span(slots)));
  batch.slot_mapping = mapping.span<const int64_t>();
  batch.num_tokens = batch.block_size = layout.block_size;
  kv_store({block.data(), block.bytes(), layout}, rows, rows, batch, stream);
  std::vector<std::byte> bytes(block.bytes());
  block.copy_to_host(0, bytes);
  return hash128(bytes);
}

}  // namespace pagoda
