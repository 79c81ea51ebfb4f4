#include "assembly/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/memory_reserve.h"
#include "decoder/activations.h"
#include "kv/group_blocks.h"
#include "model/tensor_list.h"
#include "runner/runner_config.h"

namespace pagoda {
namespace {

std::string size_text(double bytes) {
  constexpr double kMiB = 1 << 20, kGiB = 1 << 30;
  return bytes < kGiB ? fmt::format("{:.1f} MiB", bytes / kMiB) : fmt::format("{:.2f} GiB", bytes / kGiB);
}

// What is left for the cache when max_model_len is this.
uint64_t cache_bytes_for(const MemoryRequest& request, int32_t max_model_len) {
  const auto budget = static_cast<uint64_t>(static_cast<double>(request.usable_bytes) * request.utilization);
  const uint64_t used = request.weight_bytes + request.activation_bytes +
                        static_cast<uint64_t>(max_model_len) * request.position_bytes;
  return budget > used ? budget - used : 0;
}

// The greatest length that fits, where a cache of a given size does not depend on it; 0: none.
int32_t longest_that_fits(const MemoryRequest& request, uint64_t block_bytes, std::optional<uint64_t> given) {
  int32_t low = 0, high = request.max_model_len;
  while (low < high) {
    const int32_t middle = low + (high - low + 1) / 2;
    const uint64_t bytes = given.value_or(cache_bytes_for(request, middle));
    const int64_t blocks = blocks_per_sequence(request.groups, middle, request.max_num_batched_tokens);
    if (blocks < static_cast<int64_t>(bytes / block_bytes))  // and the null block
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

// What decides the size of the cache, and so what would mend it.
std::string how_to_give_more(const MemoryRequest& request) {
  if (request.num_blocks_override > 0)
    return fmt::format("a greater --num-gpu-blocks-override (now {})", request.num_blocks_override);
  if (request.kv_cache_bytes > 0)
    return fmt::format("a greater --kv-cache-memory-bytes (now {})", request.kv_cache_bytes);
  const auto size = [](uint64_t bytes) { return size_text(static_cast<double>(bytes)); };
  return fmt::format(
      "a greater --gpu-memory-utilization (now {:.2f} of {}, of which weights take {} and activations {}), "
      "or "
      "--kv-cache-memory-bytes",
      request.utilization, size(request.usable_bytes), size(request.weight_bytes),
      size(request.activation_bytes + static_cast<uint64_t>(request.max_model_len) * request.position_bytes));
}

Status too_little(const MemoryRequest& request, uint64_t available, uint64_t block_bytes,
                  int64_t needed_blocks) {
  const bool is_given = request.num_blocks_override > 0 || request.kv_cache_bytes > 0;
  const int32_t longest =
      longest_that_fits(request, block_bytes, is_given ? std::optional(available) : std::nullopt);
  return invalid_argument(
      fmt::format(
          "the KV cache is too small for one request of max_model_len {}: {} are needed, {} are available; "
          "{}. Use a smaller --max-model-len, or give the cache more: {}",
          request.max_model_len,
          size_text(static_cast<double>(needed_blocks) * static_cast<double>(block_bytes)),
          size_text(static_cast<double>(available)),
          longest > 0 ? fmt::format("the longest that would fit is {}", longest)
                      : fmt::format("not even one block fits{}", is_given ? "" : " beside the weights"),
          how_to_give_more(request)),
      "max-model-len");
}

}  // namespace

Result<MemoryPlan> plan_memory(const MemoryRequest& request) {
  MemoryPlan plan;
  plan.block_bytes = request.groups[0].block_bytes;
  PAGODA_CHECK(plan.block_bytes > 0, "a block has bytes");
  // Of a sequence of full length between two steps, and what a step takes besides.
  const int64_t per_sequence = blocks_per_sequence(request.groups, request.max_model_len, 1);
  const int64_t step =
      blocks_per_sequence(request.groups, request.max_model_len, request.max_num_batched_tokens) -
      per_sequence;
  const int64_t needed = per_sequence + step + 1;  // the null block

  uint64_t available = request.kv_cache_bytes;
  int64_t num_blocks;
  if (request.num_blocks_override > 0) {
    num_blocks = request.num_blocks_override;
    if (plan.block_bytes > static_cast<uint64_t>(INT64_MAX / num_blocks))
      return invalid_argument(fmt::format("{} blocks of {} bytes each are more than any machine has: use a "
                                          "smaller --num-gpu-blocks-override",
                                          num_blocks, plan.block_bytes),
                              "num-gpu-blocks-override");
    available = static_cast<uint64_t>(num_blocks) * plan.block_bytes;
  } else if (request.kv_cache_bytes > 0) {
    num_blocks = static_cast<int64_t>(std::min<uint64_t>(available / plan.block_bytes, INT32_MAX));
  } else {
    available = cache_bytes_for(request, request.max_model_len);
    const int64_t useful = request.keeps_unused
                               ? INT32_MAX
                               : std::min<int64_t>(per_sequence * request.max_num_seqs + step + 1, INT32_MAX);
    num_blocks =
        static_cast<int64_t>(std::min<uint64_t>(available / plan.block_bytes, static_cast<uint64_t>(useful)));
  }
  if (num_blocks < needed) return too_little(request, available, plan.block_bytes, needed);
  plan.num_blocks = static_cast<int32_t>(num_blocks);
  plan.kv_bytes = static_cast<uint64_t>(num_blocks) * plan.block_bytes;
  const int64_t usable = num_blocks - 1 - step, block_size = request.groups[0].block_size;
  plan.max_concurrency = static_cast<double>(usable) / static_cast<double>(per_sequence);
  const int64_t length = (request.max_model_len + block_size - 1) / block_size * block_size;
  plan.num_tokens = usable / per_sequence * length + usable % per_sequence * length / per_sequence;
  return plan;
}

uint64_t estimate_weight_bytes(const ModelSpec& spec, const WeightFormats& formats,
                               const Checkpoint* checkpoint, const OpTable& ops) {
  uint64_t total = 0;
  for (const TensorSpec& tensor : tensor_list(spec)) {
    if (tensor.optional) continue;
    if (tensor.shape.size() == 1) {
      total += static_cast<uint64_t>(tensor.shape[0]) * sizeof(float);
      continue;
    }
    const StoredTensor* stored = checkpoint == nullptr ? nullptr : checkpoint->find(tensor.sources[0].name);
    total += packed_bytes({tensor.shape[0], tensor.shape[1], formats.of(tensor.role, stored)}, ops);
  }
  return total;
}

uint64_t estimate_activation_bytes(const ModelConfig& config, int32_t max_num_batched_tokens,
                                   int32_t input_parts, const OpTable& ops) {
  const auto row_bytes = static_cast<uint64_t>(config.vocab_size) * sizeof(float);
  // Scratch of the workers, tokenizer, server; and what is put by for the hour without memory.
  constexpr uint64_t kRest = (64ull << 20) + kReserveBytes;
  return Activations::bytes(config, max_num_batched_tokens, input_parts, ops) +
         std::max<uint64_t>(kLogitsBytes, row_bytes) + kRest;
}

uint64_t estimate_position_bytes(const ModelConfig& config, std::span<const KvGroupSpec> groups,
                                 int32_t max_num_seqs) {
  uint64_t rope_bytes = 0;
  for (const RopeConfig& rope : config.ropes)
    rope_bytes += static_cast<uint64_t>(rope.rotary_dim) * sizeof(float);
  const uint64_t table_bytes =  // of all rows, on the host and on the device
      2 * static_cast<uint64_t>(max_num_seqs) * sizeof(BlockId) * groups.size();
  return rope_bytes + table_bytes / static_cast<uint64_t>(groups[0].block_size) + 1;
}

}  // namespace pagoda
